/* Inside of runtime/optim: an optimizer as a rule for one block.
 *
 * A step is two passes over the blocks of a slice. The first reads: it takes block sums of squares,
 * which are then summed over ranks; after it the gradient norm and the rate of each parameter are
 * known. The second writes. Between the two the step can still be given up with nothing changed. */
#ifndef PL_OPTIM_RULE_H
#define PL_OPTIM_RULE_H

#include "runtime/optim/optim.h"

enum { PL_OPTIM_MOMENTS = 2 };

/* PL_BLOCK elements of each vector; they don't overlap. Moments that the rule lacks are NULL. */
typedef struct pl_optim_block {
  float *master;
  const float *gradient;
  float *moment[PL_OPTIM_MOMENTS];
} pl_optim_block;

/* The numbers of one step for one parameter, as f32 because elements are. */
typedef struct pl_optim_rates {
  float lr;    /* times the layer-wise ratio */
  float decay; /* 0 for biases and gains */
  float momentum;
  bool nesterov;
  float beta1, beta2, epsilon;
  float rest1, rest2;       /* 1 - beta, rounded once: in f32, 1 - 0.999f would keep 4 digits */
  float correct1, correct2; /* 1 / (1 - beta^(step+1)), the bias corrections of the moments */
} pl_optim_rates;

typedef struct pl_optim_rule {
  int moments;
  const char *moment_name[PL_OPTIM_MOMENTS];
  /* The direction whose norm the layer-wise ratio divides by, PL_BLOCK elements. NULL: the rule has
   * no layer-wise rates. */
  void (*direction)(const pl_optim_block *block, const pl_optim_rates *rates, float *direction);
  void (*update)(const pl_optim_block *block, const pl_optim_rates *rates);
} pl_optim_rule;

extern const pl_optim_rule pl_optim_sgd, pl_optim_lars, pl_optim_adamw, pl_optim_lamb;

#endif
