#include "launch/embed.h"

#include <math.h>
#include <string.h>

#include "launch/settings.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"
#include "runtime/data/loader.h"
#include "runtime/net/exec.h"

/* One pass over this rank's leaves. */
typedef struct pass {
  pl_loader *loader;
  const char *what;
  bool shown; /* this rank shows progress */
  int64_t leaves, done;
  int leaf_samples;
  double start_ms, last_shown_ms;
} pass;

static void show_progress(pass *p) {
  double now = pl_now_ms();
  double pause = pl_log_is_terminal() ? 200 : 10000;
  if (!p->shown || p->done == 0 || now - p->last_shown_ms < pause) return;
  p->last_shown_ms = now;
  double per_leaf_ms = (now - p->start_ms) / (double)p->done;
  pl_log_progress("%s: %.0f%%  %.0f images/s on this rank  %.0f s left", p->what,
                  100.0 * (double)p->done / (double)p->leaves, p->leaf_samples / per_leaf_ms * 1e3,
                  (double)(p->leaves - p->done) * per_leaf_ms / 1e3);
}

static pl_status fetch(void *context, int64_t leaf, const float **images) {
  pass *p = context;
  (void)leaf;
  show_progress(p);
  pl_loader_leaf ready;
  PL_TRY(pl_loader_next(p->loader, &ready));
  *images = ready.images;
  p->done++;
  return PL_OK;
}

/* The last leaf is filled up with the first samples of the dataset, which are then left out. */
static pl_status start(const pl_config *config, const pl_dataset *dataset, int64_t first,
                       int64_t leaves, int64_t total_leaves, pl_loader **out) {
  pl_loader_options options = {
      .dataset = dataset,
      .augment = pl_augment_settings(config),
      .random = false,
      .shuffle = false,
      .shuffle_block = config->data.shuffle_block,
      .shuffle_window = config->data.shuffle_window,
      .views = 1,
      .leaf_samples = (int)config->eval.micro,
      .batch = total_leaves * config->eval.micro,
      .first_leaf = first,
      .leaves = leaves,
      .passes = 1,
      .steps = 1,
      .workers = pl_loader_workers_setting(config, pl_threads_count()),
      .skip_limit = 0, /* an evaluation that leaves samples out is no evaluation */
  };
  return pl_loader_create(&options, out);
}

static pl_status embed_leaves(const pl_config *config, const pl_dataset *dataset, pl_net *encoder,
                              pass *p, int64_t first_leaf, int64_t total_leaves,
                              pl_representations *out) {
  pl_ranks alone = pl_ranks_alone(); /* running statistics need no other rank */
  pl_exec *exec = NULL;
  pl_exec_options options = {
      .leaves = p->leaves, .total_leaves = p->leaves, .recompute = false, .ranks = &alone};
  pl_status status = pl_exec_create(encoder, &options, &exec);
  if (status == PL_OK)
    status = start(config, dataset, first_leaf, p->leaves, total_leaves, &p->loader);
  if (status == PL_OK) status = pl_exec_forward(exec, fetch, p, out->values, NULL);
  pl_loader_destroy(&p->loader);
  pl_exec_destroy(&exec);
  return status;
}

static pl_status embed(pl_comm *comm, const pl_config *config, const pl_dataset *dataset,
                       pl_net *encoder, const char *what, pl_representations *out) {
  int64_t samples = pl_dataset_get_info(dataset)->samples;
  int64_t micro = config->eval.micro;
  int64_t total_leaves = (samples + micro - 1) / micro;
  int64_t first_leaf;
  pass p = {.what = what,
            .shown = pl_comm_rank(comm) == 0,
            .leaf_samples = (int)micro,
            .start_ms = pl_now_ms()};
  pl_tree_part(total_leaves, pl_comm_size(comm), pl_comm_rank(comm), &first_leaf, &p.leaves);
  out->first = first_leaf * micro;
  out->count = (first_leaf + p.leaves) * micro;
  out->count = (out->count < samples ? out->count : samples) - out->first;
  if (p.leaves == 0) out->count = 0;
  out->width = pl_net_output_features(encoder);
  out->values = pl_alloc((size_t)(p.leaves * micro) * (size_t)out->width, sizeof *out->values);
  out->labels = pl_alloc((size_t)out->count, sizeof *out->labels);
  if (!out->values || !out->labels) return PL_E_INTERNAL;
  for (int64_t i = 0; i < out->count; i++) {
    out->labels[i] = pl_dataset_label(dataset, out->first + i);
  }
  if (p.leaves == 0) return PL_OK;
  return embed_leaves(config, dataset, encoder, &p, first_leaf, total_leaves, out);
}

pl_status pl_embed(pl_comm *comm, const pl_config *config, const pl_dataset *dataset,
                   pl_net *encoder, const char *what, pl_representations *out) {
  *out = (pl_representations){0};
  pl_status status = pl_comm_agree(comm, embed(comm, config, dataset, encoder, what, out));
  if (pl_comm_rank(comm) == 0) pl_log_progress("%s", "");
  return status;
}

void pl_representations_free(pl_representations *r) {
  pl_free(r->values);
  pl_free(r->labels);
  *r = (pl_representations){0};
}

void pl_representations_normalize(pl_representations *r) {
  for (int64_t i = 0; i < r->count; i++) {
    float *row = r->values + i * r->width;
    double square = 0;
    for (int j = 0; j < r->width; j++) square += (double)row[j] * row[j];
    float scale = square > 0 ? (float)(1 / sqrt(square)) : 0;
    for (int j = 0; j < r->width; j++) row[j] *= scale;
  }
}
