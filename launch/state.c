#include "launch/state.h"

#include <stdio.h>
#include <string.h>

#include "comm/reduce.h"
#include "launch/startup.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"
#include "runtime/cpu/cpu.h"

/* Seals and cuts the space and reserves memory for what it holds. */
static pl_status reserve(const pl_comm *comm, const pl_config *config, pl_dtype precision,
                         pl_state *state) {
  pl_space *space = state->space;
  PL_TRY(pl_space_seal(space, precision, (size_t)config->comm.bucket_bytes));
  PL_TRY(pl_slice_create(space, pl_comm_size(comm), pl_comm_rank(comm), &state->slice));
  state->master = pl_alloc((size_t)state->slice->blocks * PL_BLOCK, sizeof *state->master);
  state->buffers = pl_alloc((size_t)pl_space_buffer_elements(space), sizeof *state->buffers);
  state->image = pl_alloc(pl_space_image_bytes(space), 1);
  return state->master && state->buffers && state->image ? PL_OK : PL_E_INTERNAL;
}

pl_status pl_state_build(pl_comm *comm, const pl_config *config, pl_dtype precision,
                         pl_state *state, pl_method **method) {
  *state = (pl_state){0};
  PL_TRY(pl_space_create(&state->space));
  pl_method_setup setup = {.config = config,
                           .comm = comm,
                           .backend = pl_cpu_backend(),
                           .precision = precision,
                           .space = state->space};
  PL_TRY(pl_method_create(&setup, method));
  return reserve(comm, config, precision, state);
}

void pl_state_free(pl_state *state) {
  pl_free(state->image);
  pl_free(state->buffers);
  pl_free(state->master);
  pl_slice_destroy(&state->slice);
  pl_space_destroy(&state->space);
  *state = (pl_state){0};
}

pl_status pl_state_init(pl_comm *comm, pl_state *state, uint64_t seed) {
  pl_slice_init_params(state->space, state->slice, seed, state->master);
  pl_space_init_buffers(state->space, state->buffers);
  return pl_image_gather(comm, state->space, state->slice, state->master, state->image);
}

pl_status pl_state_hash(pl_comm *comm, const pl_state *state, pl_optim *optim, char text[33]) {
  uint64_t parts[2 * (PL_CHECKPOINT_VECTORS + 1)];
  int vectors = 0;
  PL_TRY(pl_slice_hash(comm, state->space, state->slice, state->master, &parts[2 * vectors++]));
  int moments = optim ? pl_optim_moments(optim) : 0;
  for (int i = 0; i < moments; i++) {
    PL_TRY(pl_slice_hash(comm, state->space, state->slice, pl_optim_moment(optim, i),
                         &parts[2 * vectors++]));
  }
  pl_hash128 buffers = pl_hash(
      state->buffers, (size_t)pl_space_buffer_elements(state->space) * sizeof *state->buffers);
  parts[2 * vectors] = buffers.low;
  parts[2 * vectors + 1] = buffers.high;
  vectors++;
  pl_hash_text(pl_hash(parts, (size_t)vectors * 2 * sizeof *parts), text);
  return PL_OK;
}

static pl_checkpoint_vectors vectors_of(const pl_state *state, pl_optim *optim) {
  pl_checkpoint_vectors v = {.count = 1, .name = {"params"}, .values = {state->master}};
  int moments = optim ? pl_optim_moments(optim) : 0;
  for (int i = 0; i < moments; i++) {
    v.name[v.count] = pl_optim_moment_name(optim, i);
    v.values[v.count] = pl_optim_moment(optim, i);
    v.count++;
  }
  return v;
}

/* Rank 0 makes room for everybody's parts. */
static pl_status begin(const char *parent, int64_t step) {
  PL_TRY(pl_make_folders(parent));
  return pl_checkpoint_begin(parent, step);
}

static pl_status commit(const char *parent, const pl_config *config, const pl_state *state,
                        const pl_checkpoint_vectors *vectors, pl_checkpoint_manifest manifest) {
  char build[PL_BUILD_TEXT];
  PL_TRY(pl_build_text(build));
  char *yaml;
  PL_TRY(pl_config_write(config, &yaml));
  manifest.config_yaml = yaml;
  manifest.build = build;
  pl_status status = pl_checkpoint_commit(parent, state->space, vectors, &manifest);
  pl_free(yaml);
  return status;
}

pl_status pl_state_save(pl_comm *comm, const pl_config *config, const pl_state *state,
                        pl_optim *optim, const char *hash, int64_t position, int64_t skipped) {
  int rank = pl_comm_rank(comm);
  int size = pl_comm_size(comm);
  char parent[PL_PATH_MAX], temporary[PL_PATH_MAX];
  PL_TRY(pl_path_join(config->run.dir, "checkpoints", parent));
  PL_TRY(pl_checkpoint_path(parent, state->step, true, temporary));
  PL_TRY(pl_comm_agree(comm, rank == 0 ? begin(parent, state->step) : PL_OK));
  pl_checkpoint_vectors vectors = vectors_of(state, optim);
  pl_checkpoint_part_record mine = {0};
  PL_TRY(
      pl_comm_agree(comm, pl_checkpoint_write_part(temporary, state->space, state->slice, &vectors,
                                                   rank == 0 ? state->buffers : NULL, &mine)));
  pl_checkpoint_part_record *parts = pl_alloc((size_t)size, sizeof *parts);
  PL_TRY(pl_comm_agree(comm, parts ? PL_OK : PL_E_INTERNAL));
  pl_status status = pl_comm_allgather_equal(comm, &mine, parts, sizeof mine);
  if (status == PL_OK && rank == 0) {
    pl_checkpoint_manifest manifest = {.step = state->step,
                                       .position = position,
                                       .skipped = skipped,
                                       .parts = size,
                                       .part = parts};
    snprintf(manifest.state_hash, sizeof manifest.state_hash, "%s", hash);
    status = commit(parent, config, state, &vectors, manifest);
  }
  pl_free(parts);
  return pl_comm_agree(comm, status);
}

pl_status pl_state_load(pl_comm *comm, const pl_checkpoint *checkpoint, pl_state *state) {
  pl_checkpoint_vectors vectors = vectors_of(state, NULL);
  PL_TRY(pl_comm_agree(
      comm, pl_checkpoint_read(checkpoint, state->space, state->slice, &vectors, state->buffers)));
  state->step = pl_checkpoint_step(checkpoint);
  return pl_image_gather(comm, state->space, state->slice, state->master, state->image);
}
