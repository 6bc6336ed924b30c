/* The state of a run: the flat vectors that training moves, their hash, and what a checkpoint holds
 * of them. */
#ifndef LAUNCH_STATE_H
#define LAUNCH_STATE_H

#include "comm/reduce.h"
#include "models/method.h"
#include "runtime/config/config.h"
#include "runtime/optim/optim.h"
#include "runtime/store/checkpoint.h"
#include "runtime/tensor/space.h"

/* Master parameters, their average and moments exist on the owner of each slice; buffers and the
 * compute image are the same on all ranks. Sliced vectors and the image lie in memory of the
 * device, buffers on the host. The average is there with optim.average only, and is that of the
 * parameters and of the buffers (running statistics must fit the weights they are used with). */
typedef struct pl_state {
  const pl_device *device;
  pl_space *space;        /* sealed; owned */
  pl_slice *slice;        /* owned */
  float *master;          /* (slice blocks * PL_BLOCK) */
  float *average;         /* likewise, or NULL */
  float *buffers;         /* (buffer elements) */
  float *average_buffers; /* likewise, or NULL */
  void *image;            /* (image bytes), on the device */
  pl_image_gather *gather;
  int64_t step; /* steps done */
} pl_state;

/* The configured method and the state that its parameters make up: space sealed and cut, memory
 * reserved, nothing initialised; its nets are computed by `backend`. `vocabulary`: see
 * pl_method_setup. Both are the caller's, also after an error. Not collective. */
pl_status pl_state_build(pl_comm *comm, const pl_backend *backend, const pl_config *config,
                         pl_dtype precision, int vocabulary, pl_state *state, pl_method **method);
void pl_state_free(pl_state *state);

/* Initial parameters and buffers, image gathered. Collective. */
pl_status pl_state_init(pl_comm *comm, pl_state *state, uint64_t seed);

/* Converts `values`, master or average, to compute types and gathers them on all ranks in `image`,
 * state->image or another of its size in memory of the device. Collective. */
pl_status pl_state_gather(const pl_state *state, const float *values, void *image);

/* Makes the average, if there is one, what it follows: its beginning. Not collective. */
pl_status pl_state_start_average(pl_state *state);

/* After step number state->step (from 0) has moved the parameters: average += (1 - d) (values -
 * average) with d = min(decay, (1 + step) / (10 + step)), which lets young averages follow quickly
 * (as TensorFlow's ExponentialMovingAverage with num_updates). Does nothing without an average. Not
 * collective. */
pl_status pl_state_follow(pl_state *state, double decay);

/* xxHash128 over the hashes of all vectors: names the trajectory. `optim` may be NULL. Collective.
 */
pl_status pl_state_hash(pl_comm *comm, const pl_state *state, pl_optim *optim,
                        char text[PL_CHECKPOINT_HASH]);

/* The same where the vectors over the slice (pl_state_sliced) were copied to the host. Collective.
 */
pl_status pl_state_hash_copy(pl_comm *comm, const pl_state *state,
                             const pl_checkpoint_vectors *copy, char text[PL_CHECKPOINT_HASH]);

/* What a checkpoint holds of the state: vectors over the slice ("params", the moments of `optim` by
 * their names, "average"), and vectors that all ranks hold alike ("buffers", "average_buffers").
 * They point into state and `optim`, which may be NULL: the first to memory of the device, the
 * others to the host's. */
pl_checkpoint_vectors pl_state_sliced(const pl_state *state, pl_optim *optim);
pl_checkpoint_vectors pl_state_replicated(const pl_state *state);

/* Fills the state and the moments of `optim` (which may be NULL) from a verified checkpoint, and
 * gathers the image. With `lenient`, moments and averages that the checkpoint lacks are left as
 * they would be at a start, with a warning. Errors are agreed. Collective. */
pl_status pl_state_load(pl_comm *comm, const pl_checkpoint *checkpoint, bool lenient,
                        pl_state *state, pl_optim *optim);

#endif
