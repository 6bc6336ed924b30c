/* Work on many items over all ranks, with progress. */
#ifndef LAUNCH_PACK_ROUNDS_H
#define LAUNCH_PACK_ROUNDS_H

#include "comm/comm.h"

typedef struct pl_rounds {
  const char *doing, *items; /* "packing", "images" */
  int64_t own;               /* items of this rank */
  int64_t per_round;         /* items of a rank between two agreements; the same on all ranks */
  /* Does items [first, first + count) of this rank's; called in order. */
  pl_status (*work)(void *context, int64_t first, int64_t count);
  void *context;
} pl_rounds;

/* Runs all items in rounds. Ranks agree after each, so that a failure on one ends all soon, and so
 * that rank 0 can tell exactly how much is done. Collective. */
pl_status pl_rounds_run(pl_comm *comm, const pl_rounds *rounds);

#endif
