#include "runtime/base/threads.h"

#include <omp.h>
#include <sched.h>

int pl_threads_allowed(void) {
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) != 0) return 1;
  int count = CPU_COUNT(&mask);
  return count > 0 ? count : 1;
}

int pl_threads_per_rank(int local_ranks, int bound_apart) {
  int allowed = pl_threads_allowed();
  if (bound_apart || local_ranks <= 1) return allowed;
  return allowed / local_ranks > 0 ? allowed / local_ranks : 1;
}

void pl_threads_use(int count) {
  omp_set_dynamic(0);
  omp_set_num_threads(count);
}

int pl_threads_count(void) { return omp_get_max_threads(); }
