/* Linear evaluation: a softmax classifier on frozen features, trained by SGD with momentum at
 * several learning rates at once; a held-out part of the training samples chooses among the rates.
 *
 * Ranks hold the features of consecutive samples. A batch's rows are gathered on all ranks, each of
 * which trains some of the rates: the classifiers never meet, so the answer does not depend on the
 * number of ranks, bit for bit. Features are standardised by the mean and deviation of the training
 * samples, in each dimension. Batches are drawn without replacement, epoch after epoch, from
 * counter-based numbers; the rate falls by a cosine to zero over the training. */
#ifndef MODELS_LINEAR_H
#define MODELS_LINEAR_H

#include "comm/comm.h"
#include "models/knn.h"
#include "runtime/config/config.h"

typedef struct pl_linear_options {
  int width;   /* of a feature row */
  int classes; /* labels are 0 … classes-1 */
  int rates;
  double rate[PL_CONFIG_LIST];
  double epochs;
  int64_t batch;
  double momentum, weight_decay;
  double holdout; /* share of training samples held out; 0 with one rate only */
  uint64_t seed;
} pl_linear_options;

typedef struct pl_linear_result {
  double rate;              /* the chosen one */
  int64_t held, held_right; /* held-out samples, and those that it got right */
  int64_t right, queries;   /* over all ranks */
} pl_linear_result;

typedef struct pl_linear pl_linear;

#endif
