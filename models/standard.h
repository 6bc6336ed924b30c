/* Features brought to mean 0 and deviation 1 in each dimension, with the same bits whatever rank
 * holds which rows. */
#ifndef MODELS_STANDARD_H
#define MODELS_STANDARD_H

#include <stdint.h>

#include "comm/comm.h"

typedef struct pl_standard {
  int width;
  double *mean;   /* (width) */
  double *factor; /* (width): 1 / deviation, 0 where all rows agree */
} pl_standard;

/* Measures the rows of all ranks. `features`: (count, width), finite; count may be 0 on some ranks.
 * The caller frees the result, also after an error. Errors are agreed. Collective; width must match
 * on all ranks. */
pl_status pl_standard_measure(pl_comm *comm, const float *features, int64_t count, int width,
                              pl_standard *out);
void pl_standard_free(pl_standard *standard);

/* `out` gets one row standardised. Not collective. */
void pl_standard_apply(const pl_standard *standard, const float *row, float *out);

#endif
