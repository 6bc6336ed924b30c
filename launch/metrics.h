/* What a run tells while it runs: metrics.jsonl, one object a step, and the progress line. */
#ifndef LAUNCH_METRICS_H
#define LAUNCH_METRICS_H

#include "comm/comm.h"
#include "models/method.h"

/* Where a step's time went on one rank, in milliseconds, in the order of pl_split_names. */
typedef enum pl_split {
  PL_SPLIT_DATA,
  PL_SPLIT_FORWARD,
  PL_SPLIT_GATHER,
  PL_SPLIT_LOSS,
  PL_SPLIT_BACKWARD,
  PL_SPLIT_REDUCE,
  PL_SPLIT_OPTIMIZER,
  PL_SPLIT_CHECKPOINT,
  PL_SPLITS
} pl_split;

/* One rank's report of a step, exchanged at the step's boundary. */
typedef struct pl_rank_report {
  double ms[PL_SPLITS];
  double total_ms;
  double skipped; /* corrupt samples met so far */
  double failed;  /* filled in here: a pl_status, why this rank could not write */
} pl_rank_report;

/* One step as told to the user. */
typedef struct pl_step_line {
  int64_t step, steps; /* this one (from 0), and how many there will be */
  double epoch;        /* at the end of the step */
  int64_t samples;     /* seen at the end of the step */
  int64_t batch;
  double lr, gradient_norm;
  pl_contrast_figures figures;
} pl_step_line;

typedef struct pl_metrics pl_metrics;

/* Opens run_dir/metrics.jsonl on rank 0; other ranks write nothing. Errors are agreed. Collective.
 */
pl_status pl_metrics_create(pl_comm *comm, const char *run_dir, pl_metrics **out);
void pl_metrics_destroy(pl_metrics **metrics);

/* Ends a step: exchanges the ranks' reports, writes the line (rank 0) and shows progress. A line
 * that can't be written fails the next step, or the finish, on all ranks alike. Collective. */
pl_status pl_metrics_step(pl_metrics *metrics, const pl_step_line *line, pl_rank_report *mine);

/* Ends the progress line and logs a summary: steps, samples per second, share of data wait.
 * Collective. */
pl_status pl_metrics_finish(pl_metrics *metrics);

#endif
