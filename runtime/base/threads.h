/* Threads of this process: how many it may use, and the team that computes.
 *
 * Compute kernels run on one OpenMP team, the same one that oneDNN uses, started by the thread that
 * called pl_threads_use. Reading and augmenting run on threads of their own (runtime/data). */
#ifndef PL_BASE_THREADS_H
#define PL_BASE_THREADS_H

#include <stdbool.h>
#include <stdint.h>

/* The most processors that a Linux kernel is built for. */
enum { PL_PROCESSORS_MAX = 8192 };

/* A set of processors: bit k % 64 of word k / 64 stands for processor k. Plain data. */
typedef struct pl_processors {
  uint64_t word[PL_PROCESSORS_MAX / 64];
} pl_processors;

/* The processors this process may run on, from its affinity mask; empty if the system does not
 * tell. */
pl_processors pl_processors_allowed(void);

bool pl_processors_overlap(const pl_processors *a, const pl_processors *b);

/* Number of processors this process may run on; at least 1. */
int pl_threads_allowed(void);

/* Threads for each of `local_ranks` processes on this host: where the launcher bound each rank to
 * processors of its own, as many as those; where they share one mask, an equal part of it; at
 * least 1. `bound_apart` says which of the two (nonzero: own processors). */
int pl_threads_per_rank(int local_ranks, int bound_apart);

/* Sets the size of the compute team for the calling thread. */
void pl_threads_use(int count);

/* Size of the compute team. */
int pl_threads_count(void);

#endif
