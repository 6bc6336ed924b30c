#include "launch/judge/embed.h"

#include <math.h>

#include "launch/device.h"
#include "launch/feed.h"
#include "launch/settings.h"
#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/base/progress.h"
#include "runtime/base/random.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"
#include "runtime/net/exec.h"

/* One embedding, as all ranks see it, and this rank's pass over its leaves. */
typedef struct pass {
  pl_comm *comm;
  const pl_config *config;
  const pl_dataset *dataset;
  const pl_embed_options *options;
  int64_t samples; /* embedded by all ranks together */
  int64_t total_leaves, first_leaf, leaves, done;
  pl_feed *feed;
  pl_progress progress;
  pl_representations *out;
} pass;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* The last leaf is filled up with further samples, which are left out here. */
static void note_samples(pass *p, const int64_t *sample) {
  int64_t micro = p->config->eval.micro, at = p->done * micro;
  for (int64_t i = 0; i < smaller(micro, p->out->count - at); i++) {
    p->out->sample[at + i] = sample[i];
    p->out->labels[at + i] = pl_dataset_label(p->dataset, sample[i]);
  }
}

static pl_status fetch(void *context, int64_t leaf, pl_exec_input *input) {
  pass *p = context;
  (void)leaf;
  pl_comm_alive(p->comm, -1, "embedding");
  /* All ranks are taken to be as far as this one. */
  pl_progress_show(&p->progress,
                   (int64_t)((double)p->samples * (double)p->done / (double)p->leaves));
  pl_loader_leaf ready;
  PL_TRY(pl_feed_next(p->feed, input, &ready));
  if (p->options->tokenizer) input->host = ready.tokens;
  note_samples(p, ready.sample);
  p->done++;
  return PL_OK;
}

static pl_augment_options views_of(const pl_config *config) {
  pl_augment_options views = pl_augment_settings(config);
  views.flip = 0.5;
  views.jitter = views.grey = views.blur = views.solarize = 0;
  return views;
}

/* The loader's seed, of both the order and the views: each epoch of views has its own, since the
 * loader's positions begin anew in every call. */
static uint64_t seed_of(const pass *p) {
  uint32_t epoch = p->options->random ? (uint32_t)p->options->epoch : 0;
  pl_random stream = pl_random_stream((uint64_t)p->config->run.seed, PL_RANDOM_EMBED, epoch, 0, 0);
  uint64_t high = pl_random_bits(&stream);
  return high << 32 | pl_random_bits(&stream);
}

/* What there is to embed without a limit. */
static int64_t all_of(const pass *p) {
  const pl_dataset_info *info = pl_dataset_get_info(p->dataset);
  return p->options->tokenizer ? info->captions : info->samples;
}

static pl_status start_feed(pass *p) {
  const pl_config *config = p->config;
  bool drawn = p->samples < all_of(p);
  /* An evaluation that leaves samples out is no evaluation; a draw may draw others. */
  int64_t skip_limit = p->options->limit > 0 ? config->data.skip_limit : 0;
  pl_loader_options options = {
      .dataset = p->dataset,
      .tokenizer = p->options->tokenizer,
      .context = (int)config->model.text.context,
      .all_captions = p->options->tokenizer != NULL,
      .augment = p->options->random ? views_of(config) : pl_augment_settings(config),
      .random = p->options->random,
      .shuffle = drawn,
      .shuffle_block = config->data.shuffle_block,
      .shuffle_window = config->data.shuffle_window,
      .seed = seed_of(p),
      .views = 1,
      .leaf_samples = (int)config->eval.micro,
      .batch = p->total_leaves * config->eval.micro,
      .first_leaf = p->first_leaf,
      .leaves = p->leaves,
      .passes = 1,
      .steps = pl_account_is_planning() ? 0 : 1,
      .workers = pl_loader_workers_setting(config, pl_threads_count()),
      .skip_limit = skip_limit,
  };
  return pl_feed_create(config, &options, &p->feed);
}

static pl_status embed_leaves(pass *p, pl_net *encoder) {
  pl_ranks alone = pl_ranks_alone(); /* running statistics need no other rank */
  pl_exec *exec = NULL;
  bool in_place = !p->options->tokenizer && pl_device_view_maker(p->config);
  pl_exec_options options = {
      .leaves = p->leaves, .total_leaves = p->leaves, .in_place = in_place, .ranks = &alone};
  pl_status status = pl_exec_create(encoder, &options, &exec);
  if (status == PL_OK) status = start_feed(p);
  if (status == PL_OK) status = pl_exec_embed(exec, fetch, p, p->out->values);
  pl_feed_destroy(&p->feed);
  pl_exec_destroy(&exec);
  return status;
}

static pl_status embed(pass *p, pl_net *encoder, const char *what) {
  pl_representations *out = p->out;
  int64_t micro = p->config->eval.micro;
  p->samples = all_of(p);
  if (p->options->limit > 0) p->samples = smaller(p->options->limit, p->samples);
  p->total_leaves = (p->samples + micro - 1) / micro;
  pl_tree_part(p->total_leaves, pl_comm_size(p->comm), pl_comm_rank(p->comm), &p->first_leaf,
               &p->leaves);
  /* Pretended ranks have what this one has, which is then as much as any. */
  if (pl_account_is_planning()) {
    p->first_leaf = 0;
    p->leaves = (p->total_leaves - 1) / pl_comm_size(p->comm) + 1;
  }
  p->progress = pl_progress_start(what, p->options->tokenizer ? "texts" : "images", p->samples,
                                  pl_comm_rank(p->comm) == 0 && !pl_account_is_planning());
  out->first = p->first_leaf * micro;
  out->count = p->leaves > 0 ? smaller(p->leaves * micro, p->samples - out->first) : 0;
  out->width = pl_net_output_features(encoder);
  out->values = pl_alloc((size_t)(p->leaves * micro) * (size_t)out->width, sizeof *out->values);
  out->labels = pl_alloc((size_t)out->count, sizeof *out->labels);
  out->sample = pl_alloc((size_t)out->count, sizeof *out->sample);
  if (!out->values || !out->labels || !out->sample) return PL_E_INTERNAL;
  if (p->leaves == 0) return PL_OK;
  return embed_leaves(p, encoder);
}

pl_status pl_embed_views(pl_comm *comm, const pl_config *config, const pl_dataset *dataset,
                         pl_net *encoder, const pl_embed_options *options, const char *what,
                         pl_representations *out) {
  pass p = {.comm = comm, .config = config, .dataset = dataset, .options = options, .out = out};
  *out = (pl_representations){0};
  pl_status status = pl_comm_agree(comm, embed(&p, encoder, what));
  pl_progress_end(&p.progress);
  return status;
}

pl_status pl_embed(pl_comm *comm, const pl_config *config, const pl_dataset *dataset,
                   pl_net *encoder, const char *what, pl_representations *out) {
  const pl_embed_options all = {0};
  return pl_embed_views(comm, config, dataset, encoder, &all, what, out);
}

void pl_representations_free(pl_representations *r) {
  pl_free(r->values);
  pl_free(r->labels);
  pl_free(r->sample);
  *r = (pl_representations){0};
}

void pl_representations_normalize(pl_representations *r) {
  for (int64_t i = 0; i < r->count; i++) {
    float *row = r->values + i * r->width;
    double square = 0;
    for (int j = 0; j < r->width; j++) square += (double)row[j] * row[j];
    if (square == 0) continue;
    float scale = (float)(1 / sqrt(square));
    for (int j = 0; j < r->width; j++) row[j] *= scale;
  }
}
