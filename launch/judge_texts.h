/* Judging image-text models: zero-shot classification by class names, and retrieval both ways. The
 * same answers on any number of ranks; never a full matrix of similarities. */
#ifndef LAUNCH_JUDGE_TEXTS_H
#define LAUNCH_JUDGE_TEXTS_H

#include "comm/comm.h"
#include "models/retrieval.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"
#include "runtime/data/tokenizer.h"
#include "runtime/net/net.h"

typedef struct pl_text_judge {
  pl_comm *comm;
  const pl_config *config;
  pl_net *images, *texts; /* unit embeddings, for config->eval.micro rows, loaded */
  const pl_tokenizer *tokenizer;
  const pl_dataset *dataset;
} pl_text_judge;

typedef struct pl_zeroshot {
  int64_t samples, right1, right5;
  int64_t classes;
  int templates;
} pl_zeroshot;

/* Classifies the dataset's images by the nearest prompts (launch/prompts.h). PL_E_DATA without
 * labels. Errors are agreed. Collective. */
pl_status pl_judge_zeroshot(const pl_text_judge *judge, const char *templates, pl_zeroshot *out);

/* Recall at 1, 5, 10 of captions for images (right: any caption of the image) and of images for
 * captions. PL_E_DATA names a sample without a caption. Errors are agreed. Collective. */
enum { PL_RECALLS = 3 };
extern const int pl_recall_cut[PL_RETRIEVAL_CUTS];
typedef struct pl_retrieval_both {
  pl_retrieval_result texts_for_images, images_for_texts;
} pl_retrieval_both;
pl_status pl_judge_retrieval(const pl_text_judge *judge, pl_retrieval_both *out);

#endif
