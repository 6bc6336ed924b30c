/* The k best of a stream of (score, index) pairs, for models/search.
 *
 * Better is a higher score, of equal ones the lower index: a total order, so the result is the same
 * in whatever order pairs came. Pairs that may be among the best are only put down; when there is
 * no more room, a selection leaves the best of them. That costs a few operations a pair, where a
 * heap would pay for its depth in branches that no processor can foresee. */
#ifndef MODELS_NEAREST_H
#define MODELS_NEAREST_H

#include <stdint.h>

typedef struct pl_neighbour {
  float score;
  int64_t index;
} pl_neighbour;

/* Pairs that the `most` best are chosen in: while they are, about as many others, and a block. */
enum { PL_NEAREST_BLOCK = 32 };
#define PL_NEAREST_ROOM(most) (2 * (most) + PL_NEAREST_BLOCK)

typedef struct pl_nearest {
  pl_neighbour *kept; /* the caller's; (PL_NEAREST_ROOM(most)) */
  int count, most;
  float threshold; /* of the last selection: what is not above it is not among the best */
} pl_nearest;

/* Starts with nothing taken; most >= 1. */
pl_nearest pl_nearest_start(pl_neighbour *room, int most);

/* Takes n scores of the indices first, first + 1, …, which are above all indices taken before. NaN
 * and -inf are never kept. */
void pl_nearest_take(pl_nearest *nearest, const float *scores, int n, int64_t first);

/* Leaves in kept[0 … count-1] the best, at most `most`, best first. */
void pl_nearest_sort(pl_nearest *nearest);

#endif
