/* What a run tells while it runs: metrics.jsonl (an object a step, and events in between),
 * TensorBoard's event file, and the progress line. */
#ifndef LAUNCH_TRAIN_METRICS_H
#define LAUNCH_TRAIN_METRICS_H

#include "launch/train/boundary.h"
#include "models/method.h"

/* One step as told to the user. */
typedef struct pl_step_line {
  int64_t step, steps; /* this one (from 0), and how many there will be */
  double epoch;        /* at the end of the step */
  int64_t samples;     /* seen at the end of the step */
  int64_t batch;
  double lr, gradient_norm;
  int64_t passed_over; /* steps so far whose loss or gradient was not finite */
  pl_contrast_figures figures;
} pl_step_line;

/* One judgement of the model. */
typedef struct pl_eval_line {
  int64_t step; /* steps done */
  double epoch;
  const char *kind; /* "knn", "linear", "zeroshot", "texts_for_images", "images_for_texts" */
  int64_t queries;
  int64_t right, right5, right10; /* queries answered rightly: first, among 5, 10; -1: not told */
  double rate;                    /* "linear": the chosen learning rate; NaN otherwise */
  double ms;
} pl_eval_line;

typedef struct pl_metrics pl_metrics;

/* Opens the files of run_dir on rank 0, where `step` steps are done: lines of later steps, which a
 * resumed run makes again, are removed. Other ranks write nothing. Errors are agreed. Collective.
 */
pl_status pl_metrics_create(pl_comm *comm, const char *run_dir, int64_t step, pl_metrics **out);
void pl_metrics_destroy(pl_metrics **metrics);

/* Steps done when the encoder was judged for the last time, as metrics.jsonl tells; -1 for never.
 * Rank 0 knows. */
int64_t pl_metrics_last_eval(const pl_metrics *metrics);

/* Tells a step from all ranks' reports, shows progress. All writing is done by rank 0 and is not
 * collective; what fails is remembered: see pl_metrics_failed. */
void pl_metrics_step(pl_metrics *metrics, const pl_step_line *line, const pl_boundary *boundary);
void pl_metrics_eval(pl_metrics *metrics, const pl_eval_line *line);
void pl_metrics_checkpoint(pl_metrics *metrics, const pl_save_outcome *outcome);
/* Adds {"event":"NAME", …: `fields` is the rest of the object, "\"step\":3,…". */
void pl_metrics_event(pl_metrics *metrics, const char *name, const char *fields);

/* PL_OK, or why this rank's lines could not be written. Not collective. */
pl_status pl_metrics_failed(const pl_metrics *metrics, const pl_reason **why);

/* Ends the progress line and logs a summary: steps, samples per second, share of data wait. Tells
 * a line that could not be written; errors are agreed. Collective. */
pl_status pl_metrics_finish(pl_metrics *metrics);

#endif
