#include "launch/train/saver_copy.h"

#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/base/threads.h"

/* ---- the state ---- */

static size_t floats_padded(size_t floats) {
  return pl_align_up(floats * sizeof(float)) / sizeof(float);
}

/* Cuts `storage` into vectors of the same names; returns where they end. */
static float *lay_out(const pl_checkpoint_vectors *live, size_t floats, float *storage,
                      pl_checkpoint_vectors *copy) {
  *copy = *live;
  for (int v = 0; v < live->count; v++) {
    copy->values[v] = storage;
    storage += floats_padded(floats);
  }
  return storage;
}

/* Memory of pl_alloc is touched at once, so that no copy waits for pages. */
pl_status pl_saver_copy_reserve(pl_saver_copy *copy, const pl_saver_setup *setup) {
  bool saves_replicated = pl_comm_rank(setup->comm) == 0;
  copy->slice_floats = (size_t)setup->slice->blocks * PL_BLOCK;
  copy->replicated_floats = saves_replicated ? (size_t)pl_space_buffer_elements(setup->space) : 0;
  copy->storage =
      pl_alloc(floats_padded(copy->slice_floats) * (size_t)setup->vectors.count +
                   floats_padded(copy->replicated_floats) * (size_t)setup->replicated.count,
               sizeof *copy->storage);
  if (!copy->storage) return PL_E_INTERNAL;
  float *rest = lay_out(&setup->vectors, copy->slice_floats, copy->storage, &copy->sliced);
  lay_out(&setup->replicated, copy->replicated_floats, rest, &copy->replicated);
  return PL_OK;
}

/* One run of floats for each thread: long ones keep memory busiest. */
static void copy_vectors(const pl_checkpoint_vectors *from, const pl_checkpoint_vectors *to,
                         size_t floats) {
  size_t team = (size_t)pl_threads_count();
  for (int v = 0; v < from->count && floats > 0; v++) {
    const float *source = from->values[v];
    float *target = to->values[v];
#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < team; k++) {
      size_t first = floats * k / team, end = floats * (k + 1) / team;
      memcpy(target + first, source + first, (end - first) * sizeof *target);
    }
  }
}

static pl_status fetch_vectors(const pl_device *device, const pl_checkpoint_vectors *from,
                               const pl_checkpoint_vectors *to, size_t floats) {
  for (int v = 0; v < from->count; v++)
    PL_TRY(device->get(to->values[v], from->values[v], floats * sizeof(float)));
  return PL_OK;
}

pl_status pl_saver_copy_state(pl_saver_copy *copy, const pl_saver_setup *setup) {
  copy_vectors(&setup->replicated, &copy->replicated, copy->replicated_floats);
  if (!setup->device->is_host)
    return fetch_vectors(setup->device, &setup->vectors, &copy->sliced, copy->slice_floats);
  copy_vectors(&setup->vectors, &copy->sliced, copy->slice_floats);
  return PL_OK;
}

/* ---- the manifest ---- */

static size_t text_bytes(const pl_checkpoint_manifest *about) {
  size_t bytes = strlen(about->dataset) + strlen(about->metric) + strlen(about->config_yaml) +
                 strlen(about->build) + 4;
  for (int k = 0; k < about->shards; k++) bytes += strlen(about->shard[k].name) + 1;
  return bytes;
}

/* Copies a text to *end, moves *end behind it, and returns the copy. */
static const char *put_text(char **end, const char *text) {
  char *copy = *end;
  size_t bytes = strlen(text) + 1;
  *end = (char *)memcpy(copy, text, bytes) + bytes;
  return copy;
}

pl_status pl_saver_copy_about(pl_saver_copy *copy, const pl_checkpoint_manifest *about) {
  pl_free(copy->texts);
  pl_free(copy->shards);
  char *end = copy->texts = pl_alloc(text_bytes(about), 1);
  copy->shards = pl_alloc((size_t)about->shards, sizeof *copy->shards);
  if (!copy->texts || !copy->shards) return PL_E_INTERNAL;
  copy->about = *about;
  copy->about.dataset = put_text(&end, about->dataset);
  copy->about.metric = put_text(&end, about->metric);
  copy->about.config_yaml = put_text(&end, about->config_yaml);
  copy->about.build = put_text(&end, about->build);
  for (int k = 0; k < about->shards; k++) {
    copy->shards[k] = about->shard[k];
    copy->shards[k].name = put_text(&end, about->shard[k].name);
  }
  copy->about.shard = copy->shards;
  return PL_OK;
}

void pl_saver_copy_free(pl_saver_copy *copy) {
  pl_free(copy->storage);
  pl_free(copy->shards);
  pl_free(copy->texts);
  *copy = (pl_saver_copy){0};
}
