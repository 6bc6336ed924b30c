/* Threads of this process: how many it may use, and the team that computes.
 *
 * Compute kernels run on one OpenMP team, the same one that oneDNN uses, started by the thread that
 * called pl_threads_use. Reading and augmenting run on threads of their own (runtime/data). */
#ifndef PL_BASE_THREADS_H
#define PL_BASE_THREADS_H

/* Processors this process may run on, from its affinity mask; at least 1. */
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
