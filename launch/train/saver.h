/* Saving while training goes on.
 *
 * pl_saver_take copies the state; then a thread of each rank writes and hashes its part.
 * That all parts are done is learned from the report which the ranks exchange at the end of every
 * step anyway, so saving needs no communication of its own; the thread of rank 0 then commits the
 * checkpoint and removes those no longer kept. Where one save is due before the last one is
 * complete, it waits for it.
 *
 * While a save is under way the thread uses HDF5, so nobody else may: complete the save first. */
#ifndef LAUNCH_TRAIN_SAVER_H
#define LAUNCH_TRAIN_SAVER_H

#include "comm/comm.h"
#include "runtime/config/config.h"
#include "runtime/store/checkpoint.h"
#include "runtime/tensor/device.h"

typedef struct pl_saver pl_saver;

/* What is saved and where; everything pointed to outlives the saver. */
typedef struct pl_saver_setup {
  pl_comm *comm;
  const pl_space *space;
  const pl_slice *slice;
  const pl_device *device;
  pl_checkpoint_vectors vectors;    /* live ones, over the slice, in memory of the device */
  pl_checkpoint_vectors replicated; /* live ones, the same on all ranks, on the host */
  const char *parent;               /* folder of the checkpoints; cleaned at creation */
  int64_t keep;                     /* newest checkpoints kept */
  const char *metric;               /* the best by it is kept too; "": none */
  bool smaller_is_better;
} pl_saver_setup;

/* One rank's part in the save under way, told to all at the end of a step. Plain data. */
typedef struct pl_save_report {
  int32_t phase;                  /* a pl_save_phase */
  int32_t save;                   /* the save that this is about, counted from 1 */
  double ms;                      /* that the thread was busy in its last phase */
  double best;                    /* rank 0: best value among the checkpoints there are */
  pl_checkpoint_part_record part; /* PL_SAVE_WRITTEN */
} pl_save_report;

typedef enum pl_save_phase {
  PL_SAVE_IDLE,       /* nothing left to do here */
  PL_SAVE_WRITING,    /* this rank's part */
  PL_SAVE_WRITTEN,    /* this rank's part is on disk */
  PL_SAVE_COMMITTING, /* rank 0: manifest, rename, removal of older ones */
  PL_SAVE_FAILED
} pl_save_phase;

/* What became of the last completed save, for the metrics. */
typedef struct pl_save_outcome {
  int64_t step;    /* -1: none yet */
  int64_t bytes;   /* of all parts */
  double stall_ms; /* that it kept this rank from training */
  double write_ms; /* the slowest part, then the commit; not the wait for a step's end between */
} pl_save_outcome;

/* Reserves the copy and starts the thread (signals blocked in it). Cleans the parent folder on rank
 * 0. Errors are agreed. Collective. */
pl_status pl_saver_create(const pl_saver_setup *setup, pl_saver **out);

/* Waits for the thread; a save that is not complete stays a temporary folder. NULL is allowed. Not
 * collective. */
void pl_saver_destroy(pl_saver **saver);

/* Completes the save before and copies the state. *copy: the vectors over the slice as they then
 * were, in the host's memory; they stay so until the save is complete. Errors, those of the save
 * before among them, are agreed. Collective. */
pl_status pl_saver_take(pl_saver *saver, const pl_checkpoint_vectors **copy);

/* Begins the save of what was taken last: copies `about` (whose parts are filled in here), wakes
 * the thread. about->step must match on all ranks; the rest of it counts on rank 0, about->value
 * being the value of about->metric at this step, NaN for none. An error shows as failure of this
 * save. On all ranks, but nobody waits for others. */
void pl_saver_start(pl_saver *saver, const pl_checkpoint_manifest *about);

/* Fills in this rank's report for the exchange. Not collective. */
void pl_saver_report(pl_saver *saver, pl_save_report *mine);

/* Takes everybody's reports, `stride` bytes apart, moves the save on, and notices failure: the
 * error is then agreed, and the save given up. Reports about an earlier save move nothing. Cheap
 * where nothing changed. Collective. */
pl_status pl_saver_advance(pl_saver *saver, const pl_save_report *reports, size_t stride);

/* Completes the save under way, if any: when it returns PL_OK, the checkpoint stands. Collective.
 */
pl_status pl_saver_finish(pl_saver *saver);

/* The last completed save; *is_new the first time it is asked for. The same on all ranks but for
 * stall_ms. */
pl_save_outcome pl_saver_outcome(pl_saver *saver, bool *is_new);

/* Longest time that a save took so far, from the copy to the commit, in milliseconds; 0 where there
 * was none. */
double pl_saver_longest_ms(const pl_saver *saver);

/* Best value of the metric among the checkpoints there are, those from before this start included;
 * NaN where there is none. The same on all ranks. */
double pl_saver_best(const pl_saver *saver);

#endif
