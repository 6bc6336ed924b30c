/* The folder of a run: claimed at the start, locked while the run lasts.
 *
 * It holds run.yaml, metrics.jsonl, log.txt, checkpoints/, TensorBoard's event files, report.html
 * and pictures.html, `lock`, and while a run is going on `watchdog/`. */
#ifndef LAUNCH_TRAIN_RUN_FOLDER_H
#define LAUNCH_TRAIN_RUN_FOLDER_H

#include "comm/comm.h"
#include "runtime/config/config.h"
#include "runtime/store/checkpoint.h"

typedef struct pl_run_folder {
  int lock;                      /* rank 0: descriptor of the lock; -1 elsewhere */
  pl_checkpoint *checkpoint;     /* where to go on from, verified; NULL: a start */
  char checkpoints[PL_PATH_MAX]; /* paths within the folder */
  char watchdog[PL_PATH_MAX];
} pl_run_folder;

/* Takes the folder run.dir for this run, creating it where needed:
 *   - an empty one is taken as it is;
 *   - one that holds a run is refused with PL_E_USAGE, unless
 *       run.overwrite: what that run left is removed, and nothing else is, or
 *       run.resume=auto: its newest whole checkpoint is opened (a run that was ended before its
 *       first checkpoint starts anew; a run whose checkpoints are all damaged is PL_E_DATA);
 *   - one that holds other files is refused;
 *   - one that another process holds is refused, naming that process.
 * Writes the run.yaml of a new run and opens log.txt, on rank 0. `out` must be released, also after
 * an error. Errors are agreed. Collective. */
pl_status pl_run_folder_claim(pl_comm *comm, const pl_config *config, pl_run_folder *out);
void pl_run_folder_release(pl_run_folder *folder);

/* Replaces run.yaml durably on rank 0, once a resumed run accepts what may have changed. Errors are
 * agreed. Collective. */
pl_status pl_run_folder_keep_config(pl_comm *comm, const pl_config *config);

#endif
