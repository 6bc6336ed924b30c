/* Softmax classifiers that share their batches: the same standardised rows, one learning rate each.
 *
 * A batch is packed once for all classifiers. Everything is computed in tiles of fixed shape, each
 * by one thread, so neither the number of classifiers nor that of threads counts in any bit. */
#ifndef MODELS_SOFTMAX_H
#define MODELS_SOFTMAX_H

#include <stdint.h>

#include "models/standard.h"

typedef struct pl_softmax_options {
  int width, classes;
  int members;                   /* classifiers; may be 0 */
  int64_t rows;                  /* of a batch at most */
  double momentum, weight_decay; /* decay is not for the biases */
} pl_softmax_options;

typedef struct pl_softmax pl_softmax;

/* All weights are 0. Not collective; nor is anything below. */
pl_status pl_softmax_create(const pl_softmax_options *options, pl_softmax **out);
void pl_softmax_destroy(pl_softmax **softmax);

/* Takes a batch of n <= rows raw rows; NULL stands for a row of zeros, which is nobody's. */
pl_status pl_softmax_take(pl_softmax *softmax, const pl_standard *standard,
                          const float *const *rows, int64_t n);

/* The classes that a member gives the rows of the batch: of equal scores the lowest class, -1 where
 * no score is a number. */
pl_status pl_softmax_predict(pl_softmax *softmax, int member, int32_t *classes);

/* A step of SGD on the mean cross entropy of the batch: v = momentum·v + g + weight_decay·w,
 * w -= rate·v. `labels`: (n); rate: (members). */
pl_status pl_softmax_step(pl_softmax *softmax, const int32_t *labels, const double *rate);

/* A member's weights and biases, *count floats, to be copied into a member of another softmax of
 * the same width and classes: weights (classes, *stride), of which `width` count, then biases. */
float *pl_softmax_parameters(pl_softmax *softmax, int member, int *stride, size_t *count);

#endif
