/* Judging an encoder: representations of a labelled dataset by those of another, with the nearest
 * neighbours and with a linear classifier. The same answer on any number of ranks. */
#ifndef LAUNCH_JUDGE_H
#define LAUNCH_JUDGE_H

#include "comm/comm.h"
#include "models/linear.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"
#include "runtime/net/net.h"

typedef struct pl_judge_setup {
  pl_comm *comm;
  const pl_config *config;
  pl_net *encoder;           /* for config->eval.micro rows, loaded */
  const pl_dataset *bank;    /* whose labels vote, or train the linear classifier */
  const pl_dataset *queries; /* whose samples are classified */
} pl_judge_setup;

typedef struct pl_judgement {
  int64_t bank, queries; /* samples */
  int classes;
  int64_t knn_right; /* -1: not judged */
  int64_t k;         /* neighbours, at most the bank */
  double knn_ms;
  int64_t linear_right; /* -1: not judged */
  pl_linear_result linear;
  double linear_ms;
  double embed_ms;
} pl_judgement;

/* Opens and compares both datasets: labelled, and with equal classes. Folders from `config` where
 * NULL. Errors are agreed; both are the caller's to close, also after an error. Collective. */
pl_status pl_judge_open(pl_comm *comm, const pl_config *config, const char *bank_folder,
                        const char *query_folder, pl_dataset **bank, pl_dataset **queries);

/* Embeds both datasets once and judges in the ways asked for (with eval.linear.augment, the linear
 * classifier embeds the bank anew for every epoch). Errors are agreed. Collective. */
pl_status pl_judge(const pl_judge_setup *setup, bool knn, bool linear, pl_judgement *out);

#endif
