/* In which tensors something that is stored and the model differ: all are named, in one error as
 * far as they fit there, and in the log from then on. */
#ifndef PL_STORE_DIFFERENCES_H
#define PL_STORE_DIFFERENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* Leaves room in the reason for the subject, and for context on the way up. */
enum { PL_DIFFERENCES_LIST = PL_REASON_MAX / 2 };

typedef struct pl_differences {
  const char *subject; /* "checkpoint runs/a/checkpoints/step-00000100" */
  const char *place;   /* what it is, in short: "checkpoint", "file" */
  bool silent;         /* the log is another rank's */
  int count, unlisted;
  size_t length;
  char list[PL_DIFFERENCES_LIST];
} pl_differences;

/* Notes one difference. */
void pl_differ(pl_differences *differences, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Notes that a tensor has another shape there than in the model. */
void pl_differ_in_shape(pl_differences *differences, const char *name, int dims, const int64_t *dim,
                        int model_dims, const int64_t *model_dim);

/* PL_E_DATA where any difference was noted. */
pl_status pl_differences_judge(const pl_differences *differences);

#endif
