/* Tests that run on all ranks at once: every test is a cmocka test that gets the pl_comm as *state,
 * and all ranks must go through its collective calls alike. */
#ifndef TESTS_DIST_RANKS_H
#define TESTS_DIST_RANKS_H

#include <stdlib.h>

#include "comm/comm.h"
#include "tests/check.h"

/* A rank that failed no longer takes part in collective calls, which the others may wait in for
 * ever: it ends all. Only rank 0 tells what it runs; failures are told by whoever has them. */
static inline int run_on_ranks(int argc, char **argv, const struct CMUnitTest *tests,
                               size_t count) {
  pl_comm *comm = NULL;
  if (pl_comm_create(&argc, &argv, &comm) != PL_OK) {
    fprintf(stderr, "no ranks: %s\n", pl_last_reason()->message);
    return 1;
  }
  /* tests/dist/launch tells the number of ranks, so that no test passes by running alone. */
  const char *expected = getenv("PLENUM_TEST_RANKS");
  if (expected && strtol(expected, NULL, 10) != pl_comm_size(comm)) {
    fprintf(stderr, "%d ranks instead of %s\n", pl_comm_size(comm), expected);
    pl_comm_abort(comm, 1);
  }
  if (pl_comm_rank(comm) != 0 && !freopen("/dev/null", "w", stdout)) pl_comm_abort(comm, 1);
  for (size_t k = 0; k < count; k++) {
    struct CMUnitTest one[] = {tests[k]};
    one[0].initial_state = comm;
    if (cmocka_run_group_tests_name(tests[k].name, one, NULL, NULL) != 0) {
      fprintf(stderr, "%s failed on rank %d of %d\n", tests[k].name, pl_comm_rank(comm),
              pl_comm_size(comm));
      pl_comm_abort(comm, 1);
    }
  }
  pl_comm_destroy(&comm);
  return 0;
}

#endif
