/* A checkpoint with the verdict on each of its parts, and all that there is to tell of it. */
#ifndef LAUNCH_TRAIN_INSPECTION_H
#define LAUNCH_TRAIN_INSPECTION_H

#include "comm/comm.h"
#include "runtime/store/checkpoint.h"

enum { PL_VERDICT_TEXT = 512 };

typedef struct pl_inspection {
  pl_checkpoint *checkpoint;
  int64_t bytes; /* of all parts, as the manifest says */
  int bad_parts;
  char (*verdict)[PL_VERDICT_TEXT]; /* (parts): what is wrong with each; "" where nothing is */
} pl_inspection;

/* Opens a checkpoint and verifies all parts, the ranks taking turns at them. Parts that fail are
 * findings, not errors; a manifest that can't be read is PL_E_DATA or PL_E_IO. Free it also after
 * an error. Errors are agreed. Collective. */
pl_status pl_inspect(pl_comm *comm, const char *folder, pl_inspection *out);
void pl_inspection_free(pl_inspection *inspection);

/* Print it to stdout, as text or as one JSON object. Not collective. */
void pl_inspection_print(const pl_inspection *inspection);
void pl_inspection_print_json(const pl_inspection *inspection);

/* A text from outside, fit for a terminal: control characters are replaced. */
void pl_print_clean(const char *text);

#endif
