/* Being asked to stop: signals and time limits, noticed on this rank. What follows from it is
 * agreed by all ranks at the end of a step (launch/train/trainer.c).
 *
 * SIGTERM and SIGUSR1 ask for saving and stopping (schedulers send them ahead of the end), and so
 * does the first SIGINT; a second SIGINT ends the process. The handler can reach nothing but a
 * variable of static storage: the one global of this file.
 *
 * When the Slurm job ends is read from SLURM_JOB_END_TIME, which newer Slurm sets, or else from
 * PLENUM_JOB_END_TIME, with which launch/train.sbatch makes up for an older one: seconds since
 * 1970. Anything else in them, such as the NONE of a job without limit, means no end. */
#ifndef LAUNCH_TRAIN_STOP_H
#define LAUNCH_TRAIN_STOP_H

#include "runtime/base/status.h"

typedef enum pl_stop {
  PL_STOP_NONE,
  PL_STOP_TERM,
  PL_STOP_USR1,
  PL_STOP_INT,
  PL_STOP_LIMIT, /* run.time_limit */
  PL_STOP_JOB    /* the end of the Slurm job */
} pl_stop;

typedef struct pl_stop_clock {
  double limit_end_ms; /* on the clock of pl_now_ms; infinite where there is none */
  double job_end_ms;
} pl_stop_clock;

/* Installs the handlers, and makes writing past a file size limit an error instead of a signal. */
pl_status pl_stop_listen(void);

/* Starts the clock: `limit_s` seconds from now (0: none), and the end of the Slurm job this process
 * belongs to, where the environment tells it. */
pl_stop_clock pl_stop_clock_start(double limit_s);

/* Why this rank should stop now, if `margin_ms` more are needed to save in time. Of several signals
 * the first counts; signals count before limits. */
pl_stop pl_stop_asked(const pl_stop_clock *clock, double margin_ms);

/* "SIGUSR1", "run.time_limit" … Static string. */
const char *pl_stop_name(pl_stop stop);

#endif
