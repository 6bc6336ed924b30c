/* Inside of the trainer: a run on this rank, and the parts of its loop. */
#ifndef LAUNCH_TRAIN_TRAINING_H
#define LAUNCH_TRAIN_TRAINING_H

#include "comm/reduce.h"
#include "comm/watchdog.h"
#include "launch/feed.h"
#include "launch/judge/judge.h"
#include "launch/plan/plan.h"
#include "launch/settings.h"
#include "launch/startup.h"
#include "launch/state.h"
#include "launch/train/metrics.h"
#include "launch/train/run_folder.h"
#include "runtime/data/tokenizer.h"

typedef struct pl_training {
  pl_comm *comm;
  const pl_config *config;
  int threads;
  const pl_backend *backend;
  pl_dtype precision;
  pl_plan plan; /* what it needs, as foreseen */
  pl_lengths lengths;
  pl_schedule schedule;
  int64_t first_leaf, leaves;
  pl_dataset *dataset;
  pl_tokenizer *tokenizer; /* NULL where no texts are read */

  pl_method *method;
  pl_state state;
  pl_optim *optim;
  pl_gradsum *sums;
  pl_grad_reduce *reduce;
  float *buffers_before; /* running statistics before the step under way */

  pl_run_folder folder;
  pl_feed *feed;
  pl_loader *loader; /* the feed's */
  pl_metrics *metrics;
  pl_boundary boundary;
  pl_watchdog *watchdog; /* NULL: none */
  pl_stop_clock clock;
  int64_t first_step; /* of this start */
  int64_t passed_over;
  double longest_step_ms;

  pl_saver *saver;
  char *config_yaml;
  char build[PL_BUILD_TEXT + 64];      /* of the program, and threads of rank 0 */
  pl_checkpoint_shard *ledger;         /* (shards): counts before this start, names of the shards */
  int64_t saved_step;                  /* -1: none */
  char state_hash[PL_CHECKPOINT_HASH]; /* of saved_step */
  double stall_ms;                     /* of saves since the last step */
  double loss_sum;                     /* over loss_count steps since the last save */
  int64_t loss_count;

  /* Judging during training: what it needs is there, the rest NULL. */
  pl_dataset *bank, *queries;
  pl_judge_nets nets;
  void *average_image; /* with eval.weights=average */
  int64_t judged_step; /* the last one; -1: none */
  double longest_judging_ms;
} pl_training;

/* ---- training_setup.c ---- */

/* Everything up to the first step: dataset, state, run folder, what a checkpoint gives. Errors are
 * agreed; `t` must be freed, also after an error. Collective. */
pl_status pl_training_prepare(pl_training *t);
void pl_training_free(pl_training *t); /* may be repeated */

/* What only steps and saves need; for the end of a run, which has room for pictures then. Not
 * collective. */
void pl_training_free_steps(pl_training *t);

/* The part of it that leaves no trace: datasets, networks, state, and the memory for all of them;
 * t->backend is set. Errors are agreed. Collective. */
pl_status pl_training_reserve(pl_training *t);

/* Starts reading ahead for the steps that are left. Not collective. */
pl_status pl_training_start_loader(pl_training *t);

/* The time of day for events: "2026-11-21T23:40:00Z". */
enum { PL_TIME_TEXT = 32 };
void pl_training_time(char text[PL_TIME_TEXT]);

/* ---- training_step.c ---- */

/* One step, state->step not yet raised: fills line and report. A step whose loss or gradient is not
 * finite leaves the state as it was and sets *moved to false, on all ranks alike. An error strikes
 * this rank alone: the caller ends all. Collective. */
pl_status pl_training_step(pl_training *t, pl_step_line *line, pl_rank_report *report, bool *moved);

/* ---- training_judge.c ---- */

/* The datasets for judging during training, if the configuration asks for it. Errors are agreed.
 * Collective. */
pl_status pl_training_judge_prepare(pl_training *t);

/* The nets that `ways` of judging need, with the weights that eval.weights names; compiled at
 * their first use. Errors are agreed. Collective. */
pl_status pl_training_load_nets(pl_training *t, unsigned ways);

/* Whether the state after t->state.step steps is to be judged and has not been. */
bool pl_training_judge_due(const pl_training *t);

/* Judges and tells. *value: the figure that checkpoint.best names, or NaN. Errors are agreed.
 * Collective. */
pl_status pl_training_judge(pl_training *t, double *value);

/* ---- training_save.c ---- */

/* The ledger of this start: names, and counts from the checkpoint or zero. Not collective. */
pl_status pl_training_ledger_prepare(pl_training *t, const pl_checkpoint_manifest *from);

pl_status pl_training_saver_prepare(pl_training *t);

/* Begins to save the state, unless that step is saved already; `value`: see pl_training_judge.
 * Errors are agreed. Collective. */
pl_status pl_training_save(pl_training *t, double value);

/* Whether a checkpoint is due, by the steps done or for a better `value`. */
bool pl_training_save_due(const pl_training *t, double value);

/* Path of the newest checkpoint of this start or the one before; "" where there is none. `path` has
 * PL_PATH_MAX bytes. */
void pl_training_newest_path(const pl_training *t, char *path);

#endif
