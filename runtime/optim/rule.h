/* Inside of optimizers: what a step is made of, for those who compute it (runtime/optim/host.c, and
 * devices' engines).
 *
 * A step is two passes over the blocks of a slice. The first reads: it takes block sums of squares,
 * which are then summed over ranks; after it the gradient norm and the rate of each parameter are
 * known. The second writes. Between the two the step can still be given up with nothing changed. */
#ifndef PL_OPTIM_RULE_H
#define PL_OPTIM_RULE_H

#include "runtime/optim/optim.h"

enum { PL_OPTIM_MOMENTS = 2 };

/* Block sums of squares: of the gradient, the parameter and the rule's direction. Rules without
 * layer-wise rates take only the first. */
enum { PL_OPTIM_SUM_GRADIENT, PL_OPTIM_SUM_MASTER, PL_OPTIM_SUM_DIRECTION, PL_OPTIM_SUMS };

/* The numbers of one step for one parameter, as f32 because elements are. */
typedef struct pl_optim_rates {
  float lr;    /* times the layer-wise ratio */
  float kept;  /* 1 - lr * decay */
  float most;  /* what no element is left above */
  float decay; /* 0 for biases and gains */
  float momentum;
  float share_of_d, share_of_m; /* of a step that is direction plus momentum (Nesterov), or not */
  float beta1, beta2, epsilon;
  float rest1, rest2;       /* 1 - beta, rounded once: in f32, 1 - 0.999f would keep 4 digits */
  float correct1, correct2; /* 1 / (1 - beta^(step+1)), the bias corrections of the moments */
} pl_optim_rates;

/* What of the rates differs from parameter to parameter. */
typedef struct pl_optim_own {
  float lr, kept, most;
  int32_t weight; /* 0: a bias or a gain */
} pl_optim_own;

/* One pass over a slice. Its arrays are in memory of the device that computes it. */
typedef struct pl_optim_pass {
  pl_optim_kind kind;
  int64_t blocks;
  const int32_t *param;    /* (blocks): the parameter that a block belongs to */
  const pl_optim_own *own; /* (params) */
  pl_optim_rates rates[2]; /* of biases and gains, of weights; own rates to be filled in */
  float *master;           /* (blocks, PL_BLOCK), as all vectors */
  const float *gradient;
  float *moment[PL_OPTIM_MOMENTS]; /* NULL where the rule lacks one */
} pl_optim_pass;

/* What computes passes where a slice is. All arrays are in memory of its device, whose order of
 * work it keeps (runtime/tensor/device.h). Sums and elements have the same bits each time. */
typedef struct pl_optim_engine {
  /* Block sums of squares in double: (blocks, pl_optim_sums()). Those of parameter and direction
   * are 0 but for weights. */
  pl_status (*measure)(const pl_optim_pass *pass, double *sums);
  /* Moves parameters and moments. */
  pl_status (*update)(const pl_optim_pass *pass);
  pl_status (*scale)(float *values, size_t n, float factor);
  /* average += rate (values - average) */
  pl_status (*follow)(float *average, const float *values, size_t n, float rate);
} pl_optim_engine;

extern const pl_optim_engine pl_optim_host_engine;

/* 1, or PL_OPTIM_SUMS for rules with layer-wise rates. */
static inline int pl_optim_sums(pl_optim_kind kind) {
  return kind == PL_OPTIM_LARS || kind == PL_OPTIM_LAMB ? PL_OPTIM_SUMS : 1;
}

/* ---- on the host ---- */

/* PL_BLOCK elements of each vector; they don't overlap. Moments that the rule lacks are NULL. */
typedef struct pl_optim_block {
  float *master;
  const float *gradient;
  float *moment[PL_OPTIM_MOMENTS];
} pl_optim_block;

typedef struct pl_optim_rule {
  int moments;
  const char *moment_name[PL_OPTIM_MOMENTS];
  /* The direction whose norm the layer-wise ratio divides by, PL_BLOCK elements. NULL: the rule has
   * no layer-wise rates. */
  void (*direction)(const pl_optim_block *block, const pl_optim_rates *rates, float *direction);
  void (*update)(const pl_optim_block *block, const pl_optim_rates *rates);
} pl_optim_rule;

extern const pl_optim_rule pl_optim_sgd, pl_optim_lars, pl_optim_adamw, pl_optim_lamb;

/* NULL for what is no kind. */
const pl_optim_rule *pl_optim_rule_of(pl_optim_kind kind);

#endif
