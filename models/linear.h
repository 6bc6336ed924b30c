/* Linear evaluation: a softmax classifier on frozen features, trained by SGD with momentum at
 * several learning rates at once; a held-out part of the training samples chooses among the rates.
 *
 * Ranks hold the features of consecutive samples. A batch's rows are gathered on all ranks, each of
 * which trains some of the rates: the classifiers never meet, so the answer does not depend on the
 * number of ranks, bit for bit. Features are standardised by the mean and deviation of the training
 * samples, in each dimension (models/standard.h). Batches are drawn without replacement, epoch
 * after epoch, from counter-based numbers; the rate falls by a cosine to zero over the training. */
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
  double epochs; /* may end within an epoch */
  int64_t batch; /* samples; the last batch of an epoch is smaller */
  double momentum, weight_decay;
  double holdout; /* share of training samples held out; 0 with one rate only */
  uint64_t seed;
} pl_linear_options;

typedef struct pl_linear_result {
  double rate;              /* the chosen one */
  int64_t held, held_right; /* held-out samples, and those that it got right */
  int64_t right, queries;   /* over all ranks */
} pl_linear_result;

/* New features of the same training samples for each epoch, such as those of augmented images:
 * points *features at (count, width) floats that stay until the next call. Called on all ranks
 * alike, so it may be collective; its errors must be agreed. */
typedef struct pl_linear_views {
  pl_status (*epoch)(void *context, int64_t epoch, const float **features);
  void *context;
} pl_linear_views;

/* Trains on `train` (with the features of `views` in place of its own where that is not NULL; the
 * standardisation and the held-out part are always those of `train`), takes the classifier of the
 * rate that gets most held-out samples right (of equal ones the first of the list), and classifies
 * the queries. Features need no scaling. predictions: a label for each local query, of classes with
 * equal scores the lowest; -1 where the classifier has grown past what floats hold; may be NULL.
 *
 * Memory: an index for each training sample of all ranks, some batches, and three values for each
 * rate, class and dimension. PL_E_USAGE for options or labels out of range and too few samples;
 * PL_E_DATA names the first feature that is no finite number. Collective; options must match on all
 * ranks. */
pl_status pl_linear_classify(pl_comm *comm, const pl_linear_options *options,
                             const pl_knn_rows *train, const pl_linear_views *views,
                             const pl_knn_rows *queries, int32_t *predictions,
                             pl_linear_result *result);

#endif
