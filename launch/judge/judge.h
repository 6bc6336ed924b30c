/* Judging a model by a dataset: representations classified by those of another dataset (nearest
 * neighbours, a linear classifier), images classified by the names of classes, captions and images
 * found by each other. The same answers on any number of ranks; never a full matrix of
 * similarities. */
#ifndef LAUNCH_JUDGE_JUDGE_H
#define LAUNCH_JUDGE_JUDGE_H

#include "comm/comm.h"
#include "models/linear.h"
#include "models/method.h"
#include "models/retrieval.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"
#include "runtime/data/tokenizer.h"

/* Ways of judging, as a set. */
enum {
  PL_JUDGE_KNN = 1 << PL_CFG_EVAL_KNN,
  PL_JUDGE_LINEAR = 1 << PL_CFG_EVAL_LINEAR,
  PL_JUDGE_ZEROSHOT = 1 << PL_CFG_EVAL_ZEROSHOT,
  PL_JUDGE_RETRIEVAL = 1 << PL_CFG_EVAL_RETRIEVAL,
  PL_JUDGE_BY_BANK = PL_JUDGE_KNN | PL_JUDGE_LINEAR,
  PL_JUDGE_BY_TEXTS = PL_JUDGE_ZEROSHOT | PL_JUDGE_RETRIEVAL
};

/* Those that pl_config_judges tells. */
unsigned pl_judge_ways(const pl_config *config);

/* The parts of a model that judging uses; NULL where no way asked for it. */
typedef struct pl_judge_nets {
  pl_net *encoder;        /* by a bank */
  pl_net *images, *texts; /* by texts: unit embeddings */
} pl_judge_nets;

/* Compiles what `ways` need and is not there, for `rows` samples a forward pass; freed before the
 * method, also after an error. PL_E_USAGE where the method has no such part. Not collective. */
pl_status pl_judge_nets_compile(const pl_method *method, int rows, unsigned ways,
                                pl_judge_nets *nets);
/* Hands parameters to those that are there; see pl_net_load. */
pl_status pl_judge_nets_load(const pl_judge_nets *nets, const void *image, const float *buffers);
void pl_judge_nets_free(pl_judge_nets *nets);

/* Opens what `ways` need: the queries, and for PL_JUDGE_BY_BANK the bank, with equal classes.
 * Folders from `config` where NULL. PL_E_DATA names a dataset without the labels or captions that
 * it is to be judged by. Errors are agreed; both are the caller's to close, also after an error.
 * Collective. */
pl_status pl_judge_open(pl_comm *comm, const pl_config *config, unsigned ways,
                        const char *bank_folder, const char *query_folder, pl_dataset **bank,
                        pl_dataset **queries);

typedef struct pl_judge_setup {
  pl_comm *comm;
  const pl_config *config;
  const pl_judge_nets *nets; /* for config->eval.micro rows, loaded */
  const pl_tokenizer *tokenizer;
  const pl_dataset *bank;    /* whose labels vote, or train the linear classifier */
  const pl_dataset *queries; /* whose samples are classified and found */
} pl_judge_setup;

/* Images classified by prompts (launch/judge/prompts.h). */
typedef struct pl_zeroshot {
  int64_t samples, right1, right5; /* the class is the nearest; it is among the five nearest */
  int64_t classes;
  int templates;
} pl_zeroshot;

/* Recall both ways at the cuts of pl_recall_cut: of captions for images, where any caption of the
 * image is right, and of images for captions. */
enum { PL_RECALLS = 3 };
extern const int pl_recall_cut[PL_RETRIEVAL_CUTS];
typedef struct pl_retrieval_both {
  pl_retrieval_result texts_for_images, images_for_texts;
} pl_retrieval_both;

/* What was found; of the ways not in `ways` nothing is told. Times are milliseconds. */
typedef struct pl_judgement {
  unsigned ways;
  int64_t bank, queries; /* samples */
  int classes;
  int64_t k; /* neighbours, at most the bank */
  int64_t knn_right;
  pl_linear_result linear;
  pl_zeroshot zeroshot;
  pl_retrieval_both retrieval;
  double knn_ms, linear_ms, zeroshot_ms, retrieval_ms; /* each with its embedding of samples */
} pl_judgement;

/* Judges in all of `ways`, embedding each dataset once for those that share an embedding (with
 * eval.linear.augment, the linear classifier embeds the bank anew for every epoch). Errors are
 * agreed. Collective. */
pl_status pl_judge(const pl_judge_setup *setup, unsigned ways, pl_judgement *out);

#endif
