#include "launch/data_rounds.h"

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

enum { TERMINAL_INTERVAL_MS = 200, PLAIN_INTERVAL_MS = 10000 };

typedef struct progress {
  double start_ms, shown_ms;
  bool shown;
} progress;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

static void show(progress *p, const pl_rounds *rounds, int64_t done, int64_t total) {
  double now_ms = pl_now_ms();
  double interval_ms = pl_log_is_terminal() ? TERMINAL_INTERVAL_MS : PLAIN_INTERVAL_MS;
  if (now_ms - p->shown_ms < interval_ms && !(done == total && p->shown)) return;
  double seconds = (now_ms - p->start_ms) / 1000;
  double rate = seconds > 0 ? (double)done / seconds : 0;
  pl_log_progress("%s: %lld of %lld %s (%d %%), %.0f/s, %.0f s left", rounds->doing,
                  (long long)done, (long long)total, rounds->items, (int)(100 * done / total), rate,
                  rate > 0 ? (double)(total - done) / rate : 0);
  p->shown_ms = now_ms;
  p->shown = true;
}

/* Items that all ranks together have done after so many rounds, or all items there are. */
static int64_t done_after(const int64_t *own, int ranks, int64_t items_each) {
  int64_t sum = 0;
  for (int k = 0; k < ranks; k++) sum += smaller(own[k], items_each);
  return sum;
}

static pl_status run_rounds(pl_comm *comm, const pl_rounds *rounds, const int64_t *own) {
  int ranks = pl_comm_size(comm);
  int64_t total = done_after(own, ranks, INT64_MAX);
  progress p = {.start_ms = pl_now_ms(), .shown_ms = pl_now_ms()};
  for (int64_t first = 0, done = 0; done < total; first += rounds->per_round) {
    pl_status status = PL_OK;
    if (first < rounds->own) {
      status =
          rounds->work(rounds->context, first, smaller(rounds->per_round, rounds->own - first));
    }
    PL_TRY(pl_comm_agree(comm, status));
    done = done_after(own, ranks, first + rounds->per_round);
    if (pl_comm_rank(comm) == 0) show(&p, rounds, done, total);
  }
  return PL_OK;
}

pl_status pl_rounds_run(pl_comm *comm, const pl_rounds *rounds) {
  int64_t *own = pl_alloc((size_t)pl_comm_size(comm), sizeof *own);
  pl_status status = pl_comm_agree(comm, own ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK && own) {
    status = pl_comm_allgather_equal(comm, &rounds->own, own, sizeof rounds->own);
  }
  if (status == PL_OK && own) status = run_rounds(comm, rounds, own);
  if (pl_comm_rank(comm) == 0) pl_log_progress("%s", "");
  pl_free(own);
  return status;
}
