/* The state of a run: the flat vectors that training moves, their hash, and their checkpoint. */
#ifndef LAUNCH_STATE_H
#define LAUNCH_STATE_H

#include "comm/comm.h"
#include "models/method.h"
#include "runtime/config/config.h"
#include "runtime/optim/optim.h"
#include "runtime/store/checkpoint.h"
#include "runtime/tensor/space.h"

/* Master parameters and moments exist on the owner of each slice; buffers and the compute image are
 * the same on all ranks. */
typedef struct pl_state {
  pl_space *space; /* sealed; owned */
  pl_slice *slice; /* owned */
  float *master;   /* (slice blocks * PL_BLOCK) */
  float *buffers;  /* (buffer elements) */
  void *image;     /* (image bytes) */
  int64_t step;    /* steps done */
} pl_state;

/* The configured method and the state that its parameters make up: space sealed and cut, memory
 * reserved, nothing initialised. Both are the caller's, also after an error. Not collective. */
pl_status pl_state_build(pl_comm *comm, const pl_config *config, pl_dtype precision,
                         pl_state *state, pl_method **method);
void pl_state_free(pl_state *state);

/* Initial parameters and buffers, image gathered. Collective. */
pl_status pl_state_init(pl_comm *comm, pl_state *state, uint64_t seed);

/* xxHash128 over the hashes of parameters, each moment, and buffers: names the trajectory. `optim`
 * may be NULL. Collective. */
pl_status pl_state_hash(pl_comm *comm, const pl_state *state, pl_optim *optim, char text[33]);

/* Saves the state to run.dir/checkpoints. Errors are agreed. Collective. */
pl_status pl_state_save(pl_comm *comm, const pl_config *config, const pl_state *state,
                        pl_optim *optim, const char *hash, int64_t position, int64_t skipped);

/* Fills master, buffers and image from a checkpoint. Errors are agreed. Collective. */
pl_status pl_state_load(pl_comm *comm, const pl_checkpoint *checkpoint, pl_state *state);

#endif
