#include "launch/pack/rounds.h"

#include "runtime/base/memory.h"
#include "runtime/base/progress.h"

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Items that all ranks together have done after so many rounds, or all items there are. */
static int64_t done_after(const int64_t *own, int ranks, int64_t items_each) {
  int64_t sum = 0;
  for (int k = 0; k < ranks; k++) sum += smaller(own[k], items_each);
  return sum;
}

/* `own` (ranks): items of each. */
static pl_status run_rounds(pl_comm *comm, const pl_rounds *rounds, const int64_t *own) {
  int ranks = pl_comm_size(comm);
  int64_t total = done_after(own, ranks, INT64_MAX);
  pl_progress progress =
      pl_progress_start(rounds->doing, rounds->items, total, pl_comm_rank(comm) == 0);
  pl_status status = PL_OK;
  for (int64_t first = 0, done = 0; status == PL_OK && done < total; first += rounds->per_round) {
    if (first < rounds->own) {
      status =
          rounds->work(rounds->context, first, smaller(rounds->per_round, rounds->own - first));
    }
    status = pl_comm_agree(comm, status);
    done = done_after(own, ranks, first + rounds->per_round);
    if (status == PL_OK) pl_progress_show(&progress, done);
  }
  pl_progress_end(&progress);
  return status;
}

pl_status pl_rounds_run(pl_comm *comm, const pl_rounds *rounds) {
  int64_t *own = pl_alloc((size_t)pl_comm_size(comm), sizeof *own);
  pl_status status = pl_comm_agree(comm, own ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK && own) {
    status = pl_comm_allgather_equal(comm, &rounds->own, own, sizeof rounds->own);
  }
  if (status == PL_OK && own) status = run_rounds(comm, rounds, own);
  pl_free(own);
  return status;
}
