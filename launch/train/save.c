/* What is saved of a run, and when. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launch/train/training.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"

static int shard_count(const pl_training *t) { return pl_dataset_get_info(t->dataset)->shards; }

static const char *last_part(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* The line of a shard in the ledger of a checkpoint; NULL where that holds none of this name. */
static const pl_checkpoint_shard *find_shard(const pl_checkpoint_manifest *manifest,
                                             const char *name, int likely) {
  if (likely < manifest->shards && strcmp(manifest->shard[likely].name, name) == 0) {
    return &manifest->shard[likely];
  }
  for (int s = 0; s < manifest->shards; s++) {
    if (strcmp(manifest->shard[s].name, name) == 0) return &manifest->shard[s];
  }
  return NULL;
}

pl_status pl_training_ledger_prepare(pl_training *t, const pl_checkpoint_manifest *from) {
  int shards = shard_count(t);
  t->ledger = pl_alloc((size_t)shards, sizeof *t->ledger);
  if (!t->ledger) return PL_E_INTERNAL;
  for (int s = 0; s < shards; s++) {
    const char *name = last_part(pl_dataset_shard_path(t->dataset, s));
    const pl_checkpoint_shard *before = from ? find_shard(from, name, s) : NULL;
    if (before) t->ledger[s] = *before;
    t->ledger[s].name = name; /* the dataset's, which outlives the checkpoint's */
  }
  return PL_OK;
}

static const char *metric_name(const pl_config *config) {
  switch ((pl_cfg_best)config->checkpoint.best) {
    case PL_CFG_BEST_LOSS: return "loss";
    case PL_CFG_BEST_KNN: return "knn";
    case PL_CFG_BEST_LINEAR: return "linear";
    case PL_CFG_BEST_ZEROSHOT: return "zeroshot";
    case PL_CFG_BEST_RETRIEVAL: return "retrieval";
    case PL_CFG_BEST_NONE: break;
  }
  return "";
}

pl_status pl_training_saver_prepare(pl_training *t) {
  PL_TRY(pl_comm_agree(t->comm, pl_config_write(t->config, &t->config_yaml)));
  pl_saver_setup setup = {.comm = t->comm,
                          .space = t->state.space,
                          .slice = t->state.slice,
                          .device = t->state.device,
                          .vectors = pl_state_sliced(&t->state, t->optim),
                          .replicated = pl_state_replicated(&t->state),
                          .parent = t->folder.checkpoints,
                          .keep = t->config->checkpoint.keep,
                          .metric = metric_name(t->config),
                          .smaller_is_better = t->config->checkpoint.best == PL_CFG_BEST_LOSS};
  return pl_saver_create(&setup, &t->saver);
}

/* The whole ledger, in memory that the caller frees, also after an error. Collective. */
static pl_status add_up_ledger(pl_training *t, pl_checkpoint_shard **out) {
  enum { COUNTS = 3 };
  int shards = shard_count(t);
  const pl_ledger_line *own = pl_loader_ledger(t->loader);
  double *counts = pl_alloc((size_t)shards * COUNTS, sizeof *counts);
  *out = pl_alloc((size_t)shards, sizeof **out);
  pl_status status = pl_comm_agree(t->comm, counts && *out ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK) {
    for (int s = 0; s < shards; s++) {
      counts[COUNTS * s] = (double)own[s].seen;
      counts[COUNTS * s + 1] = (double)own[s].repeated;
      counts[COUNTS * s + 2] = (double)own[s].skipped;
    }
    status = pl_comm_sum_f64(t->comm, counts, (size_t)shards * COUNTS);
  }
  for (int s = 0; s < shards && status == PL_OK; s++) {
    (*out)[s] = t->ledger[s];
    (*out)[s].seen += (int64_t)counts[COUNTS * s];
    (*out)[s].repeated += (int64_t)counts[COUNTS * s + 1];
    (*out)[s].skipped += (int64_t)counts[COUNTS * s + 2];
  }
  pl_free(counts);
  return status;
}

pl_status pl_training_save(pl_training *t, double value) {
  if (t->saved_step == t->state.step) return PL_OK;
  double start = pl_now_ms();
  pl_checkpoint_shard *ledger = NULL;
  const pl_checkpoint_vectors *copy;
  if (t->config->checkpoint.best == PL_CFG_BEST_LOSS && t->loss_count > 0) {
    value = t->loss_sum / (double)t->loss_count;
  }
  pl_status status;
  PL_TRY_OR(done, status, add_up_ledger(t, &ledger));
  PL_TRY_OR(done, status, pl_saver_take(t->saver, &copy));
  PL_TRY_OR(done, status, pl_state_hash_copy(t->comm, &t->state, copy, t->state_hash));
  pl_checkpoint_manifest about = {.step = t->state.step,
                                  .position = t->state.step * t->lengths.batch,
                                  .passed_over = t->passed_over,
                                  .dataset = pl_dataset_get_info(t->dataset)->hash,
                                  .shards = shard_count(t),
                                  .shard = ledger,
                                  .metric = isfinite(value) ? metric_name(t->config) : "",
                                  .value = value,
                                  .config_yaml = t->config_yaml,
                                  .build = t->build};
  memcpy(about.state_hash, t->state_hash, sizeof about.state_hash);
  pl_saver_start(t->saver, &about);
  t->saved_step = t->state.step;
  t->loss_sum = 0;
  t->loss_count = 0;
  t->stall_ms += pl_now_ms() - start;
done:
  pl_free(ledger);
  return status;
}

bool pl_training_save_due(const pl_training *t, double value) {
  if (pl_duration_due(t->config->checkpoint.every, &t->lengths, t->state.step)) return true;
  double best = pl_saver_best(t->saver);
  return isfinite(value) && !(value <= best); /* a best that is NaN is beaten by anything */
}

void pl_training_newest_path(const pl_training *t, char *path) {
  path[0] = '\0';
  if (t->saved_step < 0) return;
  if (pl_checkpoint_path(t->folder.checkpoints, t->saved_step, false, path) != PL_OK) {
    path[0] = '\0';
  }
}
