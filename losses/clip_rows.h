/* What the processor and a device share of the losses of losses/clip.h (clip_softmax.c and
 * clip_sigmoid.c tell what it means). For C and CUDA. */
#ifndef LOSSES_CLIP_ROWS_H
#define LOSSES_CLIP_ROWS_H

#include "losses/pair_tile.h"

/* What a step sets. Logits are s·scale + bias; in base 2, as float, s·steep + shift. */
typedef struct pl_clip_terms {
  double scale, bias;
  float steep, shift;
  float share; /* scale over the number of rows that the loss is a mean of */
} pl_clip_terms;

/* Running state of a row of CLIP's loss. The sums are over the columns seen, but for the partner's,
 * with u = steep·s − base. */
typedef struct pl_softmax_state {
  double base;     /* steep·top as the float that was subtracted */
  double sum;      /* Σ 2^u */
  double weighted; /* Σ 2^u u */
  double partner;  /* s_ii */
  float top;       /* largest similarity */
} pl_softmax_state;

/* Statistics of such a row: log2 of its softmax's denominator, and 1 − p of its partner. */
enum { PL_SOFTMAX_NORM, PL_SOFTMAX_MISS, PL_SOFTMAX_STATS };

/* Running state of a row of SigLIP's loss: sums over the columns seen, but for the partner's. */
typedef struct pl_sigmoid_state {
  double loss;     /* Σ softplus(l) */
  double open;     /* Σ σ(l) */
  double weighted; /* Σ σ(l) s */
  double partner;  /* s_ii */
  float top;       /* largest similarity */
} pl_sigmoid_state;

#endif
