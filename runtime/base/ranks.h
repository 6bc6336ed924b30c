/* What code below `comm` may know of other ranks: that sums over them can be had.
 *
 * The owner of the ranks (comm) hands one of these to whatever needs a number over the global
 * batch: batch norm, optimizers with tensor norms. One process alone uses pl_ranks_alone(). */
#ifndef PL_BASE_RANKS_H
#define PL_BASE_RANKS_H

#include <stddef.h>

#include "runtime/base/status.h"

typedef struct pl_ranks {
  int rank, count;
  void *context;
  /* Replaces values[0..n) on every rank by their sum over all ranks, added in the shape of the
   * batch tree (runtime/base/tree.h), so that the result is bitwise what one process would have
   * got. Collective; n must match on all ranks. */
  pl_status (*sum)(void *context, double *values, size_t n);
} pl_ranks;

/* The type is that of pl_ranks.sum. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
static inline pl_status pl_ranks_sum_alone(void *context, double *values, size_t n) {
  (void)context;
  (void)values;
  (void)n;
  return PL_OK;
}

/* One process, rank 0 of 1. */
static inline pl_ranks pl_ranks_alone(void) {
  return (pl_ranks){.rank = 0, .count = 1, .context = 0, .sum = pl_ranks_sum_alone};
}

#endif
