/* What one run left in its folder, as the report needs it. */
#ifndef LAUNCH_REPORT_RUN_H
#define LAUNCH_REPORT_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/base/file.h"

/* Figures of a step line; what a line does not tell, or calls null, is NaN. */
typedef enum pl_column {
  PL_COLUMN_STEP, /* index of the step, from 0 */
  PL_COLUMN_EPOCH,
  PL_COLUMN_SAMPLES,
  PL_COLUMN_LOSS,
  PL_COLUMN_LR,
  PL_COLUMN_GRADIENT_NORM,
  PL_COLUMN_ACCURACY, /* share of positives picked */
  PL_COLUMN_ALIGNMENT,
  PL_COLUMN_UNIFORMITY,
  PL_COLUMN_SKIPPED,
  PL_COLUMN_PASSED_OVER,
  PL_COLUMN_MEMORY_MB,
  PL_COLUMN_STEP_MS,
  PL_COLUMN_RATE,  /* samples per second */
  PL_COLUMN_PARTS, /* from here on: milliseconds of the slowest rank */
  PL_COLUMN_DATA = PL_COLUMN_PARTS,
  PL_COLUMN_FORWARD,
  PL_COLUMN_GATHER,
  PL_COLUMN_LOSS_MS,
  PL_COLUMN_BACKWARD,
  PL_COLUMN_REDUCE,
  PL_COLUMN_OPTIMIZER,
  PL_COLUMN_CHECKPOINT,
  PL_COLUMNS
} pl_column;

enum { PL_REPORT_PARTS = PL_COLUMNS - PL_COLUMN_PARTS, PL_REPORT_TEXT = 256 };

/* "data", "forward" …: (PL_REPORT_PARTS) */
extern const char *const pl_report_part_name[];

typedef struct pl_report_host {
  char host[PL_REPORT_TEXT], device[PL_REPORT_TEXT];
  int64_t ranks, threads; /* threads of each rank */
} pl_report_host;

/* From a start to its end, or to where a killed run broke off. Texts that are too long are cut. */
typedef struct pl_report_session {
  char time[PL_REPORT_TEXT], train[PL_REPORT_TEXT], dataset[PL_REPORT_TEXT];
  char precision[PL_REPORT_TEXT], build[PL_REPORT_TEXT];
  int64_t step, steps, batch, samples, shards, parameters;
  double steps_per_epoch, flops_per_sample;
  pl_report_host *hosts;
  int64_t host_count, host_room;
  bool ended;
  char end_time[PL_REPORT_TEXT], reason[PL_REPORT_TEXT], state[PL_REPORT_TEXT];
  int64_t end_step;
} pl_report_session;

typedef struct pl_report_judgement {
  int64_t step;
  char kind[PL_REPORT_TEXT]; /* "knn", "texts_for_images" … */
  double epoch, rate, ms;
  double accuracy, top5, top10; /* share answered rightly: first, among 5, 10; NaN: not told */
  int64_t right, queries;
} pl_report_judgement;

typedef struct pl_report_checkpoint {
  int64_t step;
  double bytes, stall_ms, write_ms;
} pl_report_checkpoint;

/* A key of run.yaml; a list is "[a, b]". */
typedef struct pl_report_key {
  char *name, *value;
} pl_report_key;

typedef struct pl_report_run {
  char folder[PL_PATH_MAX];
  char name[PL_REPORT_TEXT];  /* run.name, or the last part of the folder's path */
  double *column[PL_COLUMNS]; /* (rows) */
  int64_t rows, row_room;
  double spent_ms;  /* in all steps, also those that were done again after a resume */
  int64_t repeated; /* steps that were */
  pl_report_session *sessions;
  int64_t session_count, session_room;
  pl_report_judgement *judgements;
  int64_t judgement_count, judgement_room;
  pl_report_checkpoint *checkpoints;
  int64_t checkpoint_count, checkpoint_room;
  char *yaml; /* run.yaml as it is */
  pl_report_key *keys;
  int64_t key_count, key_room;
  char *pictures; /* HTML; NULL where there are none */
} pl_report_run;

/* Reads a run's folder. PL_E_DATA names the file that is missing, or the file and the line that are
 * wrong. A torn last line is left out. */
pl_status pl_report_run_create(const char *folder, pl_report_run **out);
/* NULL is allowed. */
void pl_report_run_destroy(pl_report_run **run);

/* The two files of it, into an empty run; `name` is for messages. What a resumed run did again
 * counts as it was done last. */
pl_status pl_report_read_metrics(FILE *file, const char *name, pl_report_run *run);
pl_status pl_report_read_yaml(const char *name, const char *text, size_t size, pl_report_run *run);
/* Frees what the two have read. */
void pl_report_run_clear(pl_report_run *run);

/* The value of a key; NULL where there is none. */
const char *pl_report_value(const pl_report_run *run, const char *key);

/* Room for one more item of `size` bytes behind `count` ones: the block, or a larger one in its
 * place, the new items zero. NULL where memory can't be had; the block is then as it was. */
void *pl_report_grow(void *items, size_t size, int64_t count, int64_t *room);

#endif
