#include "launch/train/boundary.h"

#include "runtime/base/memory.h"

const char *const pl_split_names[PL_SPLITS] = {"data",     "forward", "gather",    "loss",
                                               "backward", "reduce",  "optimizer", "checkpoint"};

pl_status pl_boundary_create(const pl_comm *comm, pl_boundary *out) {
  out->ranks = pl_comm_size(comm);
  out->report = pl_alloc((size_t)out->ranks, sizeof *out->report);
  return out->report ? PL_OK : PL_E_INTERNAL;
}

void pl_boundary_free(pl_boundary *boundary) {
  pl_free(boundary->report);
  *boundary = (pl_boundary){0};
}

pl_status pl_boundary_exchange(pl_comm *comm, pl_boundary *boundary, const pl_rank_report *mine,
                               const pl_reason *why) {
  PL_TRY(pl_comm_allgather_equal(comm, mine, boundary->report, sizeof *mine));
  for (int rank = 0; rank < boundary->ranks; rank++) {
    if (boundary->report[rank].failed == (int32_t)PL_OK) continue;
    bool failed_here = mine->failed != (int32_t)PL_OK;
    return pl_comm_agree(comm, failed_here ? pl_adopt_reason(why) : PL_OK);
  }
  return PL_OK;
}

pl_stop pl_boundary_stop(const pl_boundary *boundary, int *rank) {
  for (*rank = 0; *rank < boundary->ranks; (*rank)++) {
    pl_stop stop = (pl_stop)boundary->report[*rank].stop;
    if (stop != PL_STOP_NONE) return stop;
  }
  return PL_STOP_NONE;
}

static double busy_ms(const pl_rank_report *report) {
  return report->ms[PL_SPLIT_DATA] + report->ms[PL_SPLIT_FORWARD] + report->ms[PL_SPLIT_LOSS] +
         report->ms[PL_SPLIT_BACKWARD] + report->ms[PL_SPLIT_OPTIMIZER];
}

int pl_boundary_slowest(const pl_boundary *boundary) {
  int slowest = 0;
  for (int rank = 1; rank < boundary->ranks; rank++) {
    if (busy_ms(&boundary->report[rank]) > busy_ms(&boundary->report[slowest])) slowest = rank;
  }
  return slowest;
}
