#include "launch/state.h"

#include <stdio.h>
#include <string.h>

#include "launch/device.h"
#include "runtime/base/account.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

static size_t slice_elements(const pl_state *state) {
  return (size_t)state->slice->blocks * PL_BLOCK;
}

static size_t buffer_elements(const pl_state *state) {
  return (size_t)pl_space_buffer_elements(state->space);
}

/* Zeros in memory of the device. */
static pl_status reserve_slice(const pl_state *state, pl_memory_kind kind, float **out) {
  PL_MEMORY_FOR(kind);
  void *vector = NULL;
  PL_TRY(state->device->alloc(slice_elements(state) * sizeof **out, &vector));
  *out = vector;
  return PL_OK;
}

static pl_status reserve_buffers(const pl_state *state, float **out) {
  PL_MEMORY_FOR(PL_MEMORY_BUFFERS);
  *out = pl_alloc(buffer_elements(state), sizeof **out);
  return *out ? PL_OK : PL_E_INTERNAL;
}

static pl_status reserve_image(pl_comm *comm, pl_state *state) {
  PL_MEMORY_FOR(PL_MEMORY_IMAGE);
  PL_TRY(pl_image_gather_create(comm, state->device, state->space, state->slice, &state->gather));
  return state->device->alloc(pl_space_image_bytes(state->space), &state->image);
}

/* Seals and cuts the space and reserves memory for what it holds. */
static pl_status reserve(pl_comm *comm, const pl_config *config, pl_dtype precision,
                         pl_state *state) {
  pl_space *space = state->space;
  PL_TRY(pl_space_seal(space, precision, (size_t)config->comm.bucket_bytes));
  PL_TRY(pl_slice_create(space, pl_comm_size(comm), pl_comm_rank(comm), &state->slice));
  PL_TRY(reserve_slice(state, PL_MEMORY_MASTER, &state->master));
  PL_TRY(reserve_image(comm, state));
  PL_TRY(reserve_buffers(state, &state->buffers));
  if (config->optim.average == 0) return PL_OK;
  PL_TRY(reserve_slice(state, PL_MEMORY_AVERAGE, &state->average));
  return reserve_buffers(state, &state->average_buffers);
}

pl_status pl_state_build(pl_comm *comm, const pl_backend *backend, const pl_config *config,
                         pl_dtype precision, int vocabulary, pl_state *state, pl_method **method) {
  *state = (pl_state){.device = backend->device};
  PL_TRY(pl_space_create(&state->space));
  pl_method_setup setup = {.config = config,
                           .comm = comm,
                           .backend = backend,
                           .precision = precision,
                           .space = state->space,
                           .vocabulary = vocabulary,
                           .images_in_place = pl_device_view_maker(config) != NULL};
  PL_TRY(pl_method_create(&setup, method));
  return reserve(comm, config, precision, state);
}

void pl_state_free(pl_state *state) {
  if (!state->device) return;
  state->device->release(state->image);
  state->device->release(state->average);
  state->device->release(state->master);
  pl_free(state->average_buffers);
  pl_free(state->buffers);
  pl_image_gather_destroy(&state->gather);
  pl_slice_destroy(&state->slice);
  pl_space_destroy(&state->space);
  *state = (pl_state){0};
}

/* ---- a slice's vector for the host ---- */

/* Where the host reads or writes `vector`, of the slice: there, or room for a copy. */
static pl_status open_view(const pl_state *state, float *vector, float **view) {
  *view = state->device->is_host ? vector : pl_alloc(slice_elements(state), sizeof *vector);
  return *view ? PL_OK : PL_E_INTERNAL;
}

static pl_status fetch_view(const pl_state *state, const float *vector, float *view) {
  if (view == vector) return PL_OK;
  return state->device->get(view, vector, slice_elements(state) * sizeof *view);
}

static pl_status put_view(const pl_state *state, float *vector, const float *view) {
  if (view == vector) return PL_OK;
  return state->device->put(vector, view, slice_elements(state) * sizeof *view);
}

static void close_view(const pl_state *state, float **view) {
  if (!state->device->is_host) pl_free(*view);
  *view = NULL;
}

/* ---- what moves it ---- */

pl_status pl_state_gather(const pl_state *state, const float *values, void *image) {
  return pl_image_gather_run(state->gather, values, image);
}

pl_status pl_state_start_average(pl_state *state) {
  if (!state->average) return PL_OK;
  memcpy(state->average_buffers, state->buffers,
         buffer_elements(state) * sizeof *state->average_buffers);
  return state->device->copy(state->average, state->master,
                             slice_elements(state) * sizeof *state->average);
}

static pl_status fill_initial(pl_state *state, uint64_t seed) {
  float *values;
  PL_TRY(open_view(state, state->master, &values));
  pl_slice_init_params(state->space, state->slice, seed, values);
  pl_space_init_buffers(state->space, state->buffers);
  pl_status status = put_view(state, state->master, values);
  close_view(state, &values);
  return status == PL_OK ? pl_state_start_average(state) : status;
}

pl_status pl_state_init(pl_comm *comm, pl_state *state, uint64_t seed) {
  PL_TRY(pl_comm_agree(comm, fill_initial(state, seed)));
  return pl_state_gather(state, state->master, state->image);
}

pl_status pl_state_follow(pl_state *state, double decay) {
  if (!state->average) return PL_OK;
  double young = (1.0 + (double)state->step) / (10.0 + (double)state->step);
  float rate = (float)(1 - (decay < young ? decay : young));
  PL_TRY(
      pl_optim_follow(state->device, state->average, state->master, slice_elements(state), rate));
  return pl_optim_follow(&pl_host_device, state->average_buffers, state->buffers,
                         buffer_elements(state), rate);
}

/* Two numbers for each vector. */
typedef struct hashes {
  int count;
  uint64_t part[2 * 2 * PL_CHECKPOINT_VECTORS];
} hashes;

/* values: over the slice, on the host. */
static pl_status add_sliced(pl_comm *comm, const pl_state *state, const float *values, hashes *h) {
  return pl_slice_hash(comm, state->space, state->slice, values, &h->part[2 * h->count++]);
}

static void finish_hash(const pl_state *state, hashes *h, char text[PL_CHECKPOINT_HASH]) {
  const pl_checkpoint_vectors replicated = pl_state_replicated(state);
  for (int v = 0; v < replicated.count; v++, h->count++) {
    pl_hash128 hash = pl_hash(replicated.values[v], buffer_elements(state) * sizeof(float));
    h->part[2 * h->count] = hash.low;
    h->part[2 * h->count + 1] = hash.high;
  }
  pl_hash_text(pl_hash(h->part, (size_t)h->count * 2 * sizeof *h->part), text);
}

/* One view serves all vectors. */
static pl_status add_by_view(pl_comm *comm, const pl_state *state,
                             const pl_checkpoint_vectors *sliced, float *view, hashes *h) {
  for (int v = 0; v < sliced->count; v++) {
    float *values = state->device->is_host ? sliced->values[v] : view;
    PL_TRY(pl_comm_agree(comm, fetch_view(state, sliced->values[v], values)));
    PL_TRY(add_sliced(comm, state, values, h));
  }
  return PL_OK;
}

pl_status pl_state_hash(pl_comm *comm, const pl_state *state, pl_optim *optim,
                        char text[PL_CHECKPOINT_HASH]) {
  const pl_checkpoint_vectors sliced = pl_state_sliced(state, optim);
  hashes h = {0};
  float *view;
  PL_TRY(pl_comm_agree(comm, open_view(state, state->master, &view)));
  pl_status status = add_by_view(comm, state, &sliced, view, &h);
  close_view(state, &view);
  if (status == PL_OK) finish_hash(state, &h, text);
  return status;
}

pl_status pl_state_hash_copy(pl_comm *comm, const pl_state *state,
                             const pl_checkpoint_vectors *copy, char text[PL_CHECKPOINT_HASH]) {
  hashes h = {0};
  for (int v = 0; v < copy->count; v++) PL_TRY(add_sliced(comm, state, copy->values[v], &h));
  finish_hash(state, &h, text);
  return PL_OK;
}

static void put_vector(pl_checkpoint_vectors *vectors, const char *name, float *values) {
  vectors->name[vectors->count] = name;
  vectors->values[vectors->count++] = values;
}

pl_checkpoint_vectors pl_state_sliced(const pl_state *state, pl_optim *optim) {
  pl_checkpoint_vectors vectors = {0};
  put_vector(&vectors, "params", state->master);
  for (int i = 0; optim && i < pl_optim_moments(optim); i++) {
    put_vector(&vectors, pl_optim_moment_name(optim, i), pl_optim_moment(optim, i));
  }
  if (state->average) put_vector(&vectors, "average", state->average);
  return vectors;
}

pl_checkpoint_vectors pl_state_replicated(const pl_state *state) {
  pl_checkpoint_vectors vectors = {0};
  put_vector(&vectors, "buffers", state->buffers);
  if (state->average_buffers) put_vector(&vectors, "average_buffers", state->average_buffers);
  return vectors;
}

static bool holds(const pl_checkpoint_vectors *vectors, const char *name) {
  for (int v = 0; v < vectors->count; v++) {
    if (strcmp(vectors->name[v], name) == 0) return true;
  }
  return false;
}

/* Leaves out of `vectors` what the checkpoint lacks, besides the first, which nothing replaces. */
static void leave_out(const pl_comm *comm, const pl_checkpoint_vectors *held,
                      pl_checkpoint_vectors *vectors) {
  pl_checkpoint_vectors kept = {0};
  for (int v = 0; v < vectors->count; v++) {
    if (v == 0 || holds(held, vectors->name[v])) {
      put_vector(&kept, vectors->name[v], vectors->values[v]);
    } else if (pl_comm_rank(comm) == 0) {
      PL_WARN("the checkpoint holds no \"%s\": it begins as at a start", vectors->name[v]);
    }
  }
  *vectors = kept;
}

/* Reads vectors over the slice by way of views, which are NULL before and after. */
static pl_status read_by_views(const pl_checkpoint *checkpoint, const pl_state *state,
                               const pl_checkpoint_vectors *sliced,
                               const pl_checkpoint_vectors *replicated,
                               pl_checkpoint_vectors *views) {
  for (int v = 0; v < sliced->count; v++)
    PL_TRY(open_view(state, sliced->values[v], &views->values[v]));
  PL_TRY(pl_checkpoint_read(checkpoint, state->space, state->slice, views, replicated));
  for (int v = 0; v < sliced->count; v++)
    PL_TRY(put_view(state, sliced->values[v], views->values[v]));
  return PL_OK;
}

static pl_status read_state(const pl_checkpoint *checkpoint, const pl_state *state,
                            const pl_checkpoint_vectors *sliced,
                            const pl_checkpoint_vectors *replicated) {
  pl_checkpoint_vectors views = *sliced;
  memset(views.values, 0, sizeof views.values);
  pl_status status = read_by_views(checkpoint, state, sliced, replicated, &views);
  for (int v = 0; v < views.count; v++) close_view(state, &views.values[v]);
  return status;
}

pl_status pl_state_load(pl_comm *comm, const pl_checkpoint *checkpoint, bool lenient,
                        pl_state *state, pl_optim *optim) {
  pl_checkpoint_vectors sliced = pl_state_sliced(state, optim);
  pl_checkpoint_vectors replicated = pl_state_replicated(state);
  if (lenient) {
    leave_out(comm, pl_checkpoint_sliced(checkpoint), &sliced);
    leave_out(comm, pl_checkpoint_replicated(checkpoint), &replicated);
  }
  pl_status status = read_state(checkpoint, state, &sliced, &replicated);
  if (status == PL_OK && !holds(&sliced, "average")) status = pl_state_start_average(state);
  PL_TRY(pl_comm_agree(comm, status));
  state->step = pl_checkpoint_get_manifest(checkpoint)->step;
  return pl_state_gather(state, state->master, state->image);
}
