#include "runtime/base/threads.h"

#include <omp.h>
#include <sched.h>
#include <string.h>

pl_processors pl_processors_allowed(void) {
  /* The kernel refuses a mask shorter than its own, which a plain cpu_set_t (1,024 bits) is on the
   * largest machines. */
  pl_processors allowed;
  memset(&allowed, 0, sizeof allowed);
  if (sched_getaffinity(0, sizeof allowed, (cpu_set_t *)&allowed) != 0) {
    memset(&allowed, 0, sizeof allowed);
  }
  return allowed;
}

bool pl_processors_overlap(const pl_processors *a, const pl_processors *b) {
  uint64_t common = 0;
  for (int k = 0; k < PL_PROCESSORS_MAX / 64; k++) common |= a->word[k] & b->word[k];
  return common != 0;
}

int pl_threads_allowed(void) {
  pl_processors allowed = pl_processors_allowed();
  int count = CPU_COUNT_S(sizeof allowed, (const cpu_set_t *)&allowed);
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
