/* What the processor and a device share of NT-Xent (losses/ntxent.c tells what it means). For C and
 * CUDA. */
#ifndef LOSSES_NTXENT_ROWS_H
#define LOSSES_NTXENT_ROWS_H

#include <stdbool.h>

#include "losses/pair_tile.h"

typedef struct pl_ntxent_terms {
  int leaf_samples;
  bool want_uniformity;
  float steep; /* log2(e) / τ */
  float share; /* 1 / (τN) */
} pl_ntxent_terms;

/* Running state of a row; sum is that of 2^{steep·s − base} over the negatives so far. */
typedef struct pl_ntxent_state {
  double top;  /* largest similarity of a negative */
  double base; /* steep·top as the float that was subtracted */
  double sum;
  double positive;
  double close; /* Σ_{k≠i} e^{−2‖z_i − z_k‖²} */
} pl_ntxent_state;

/* Statistics of a row: log2 of its softmax's denominator, and 1 − p of its positive. */
enum { PL_NTXENT_NORM, PL_NTXENT_MISS, PL_NTXENT_STATS };

#endif
