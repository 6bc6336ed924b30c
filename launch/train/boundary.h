/* What ranks tell each other at the end of every step, and the one small exchange in which they do.
 * All that is decided between steps (stopping, failing, moving a save on) is decided from these
 * reports, which are the same on all ranks. */
#ifndef LAUNCH_TRAIN_BOUNDARY_H
#define LAUNCH_TRAIN_BOUNDARY_H

#include "comm/comm.h"
#include "launch/train/saver.h"
#include "launch/train/stop.h"

/* Where a step's time went on one rank, in milliseconds, in the order of pl_split_names. */
typedef enum pl_split {
  PL_SPLIT_DATA,
  PL_SPLIT_FORWARD,
  PL_SPLIT_GATHER,
  PL_SPLIT_LOSS,
  PL_SPLIT_BACKWARD,
  PL_SPLIT_REDUCE,
  PL_SPLIT_OPTIMIZER,
  PL_SPLIT_CHECKPOINT, /* what a save since the step before kept this rank from training */
  PL_SPLITS
} pl_split;

extern const char *const pl_split_names[PL_SPLITS];

/* One rank's report. Plain data, exchanged as bytes. */
typedef struct pl_rank_report {
  double ms[PL_SPLITS];
  double total_ms;
  double skipped;      /* corrupt samples met so far */
  double memory_bytes; /* resident memory at its highest */
  int32_t stop;        /* a pl_stop: why this rank should stop */
  int32_t failed;      /* a pl_status: why this rank can't go on */
  pl_save_report save;
} pl_rank_report;

/* All ranks' reports of one step. */
typedef struct pl_boundary {
  int ranks;
  pl_rank_report *report; /* (ranks); owned */
} pl_boundary;

/* Not collective. */
pl_status pl_boundary_create(const pl_comm *comm, pl_boundary *out);
void pl_boundary_free(pl_boundary *boundary);

/* Exchanges the reports; `mine` is complete. Where a rank has failed, its reason (`why`, of the
 * rank that failed) becomes the error of all. Collective. */
pl_status pl_boundary_exchange(pl_comm *comm, pl_boundary *boundary, const pl_rank_report *mine,
                               const pl_reason *why);

/* Why the run should stop, and the rank that says so; PL_STOP_NONE where none does. */
pl_stop pl_boundary_stop(const pl_boundary *boundary, int *rank);

/* The rank that spent most time on its own work, rather than in waiting for others. */
int pl_boundary_slowest(const pl_boundary *boundary);

#endif
