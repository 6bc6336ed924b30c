/* The k best of a stream of (score, index) pairs, for models/knn.
 *
 * A binary heap with the worst of the kept pairs at its root. Better is a higher score, of equal
 * ones the lower index: a total order, so the result is the same in whatever order pairs came. */
#ifndef MODELS_NEAREST_H
#define MODELS_NEAREST_H

#include <stdint.h>

typedef struct pl_neighbour {
  float score;
  int64_t index;
} pl_neighbour;

/* Room for `most` pairs, which the caller owns. */
typedef struct pl_nearest {
  pl_neighbour *kept;
  int count, most;
} pl_nearest;

/* A score must be above this to be kept, where indices only grow: the worst kept score, or -inf
 * while there is room. */
float pl_nearest_threshold(const pl_nearest *nearest);

/* Takes n scores of the indices first, first + 1, …, which are above all indices taken before. NaN
 * and -inf are never kept. */
void pl_nearest_take(pl_nearest *nearest, const float *scores, int n, int64_t first);

/* Sorts what is kept, best first; nothing can be taken afterwards. */
void pl_nearest_sort(pl_nearest *nearest);

#endif
