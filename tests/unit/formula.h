/* Numbers by formula, the same here and in tests/parity/formula.py: weights, images and texts that
 * need not be stored, and signs to reduce a large tensor to a few numbers. */
#ifndef TESTS_UNIT_FORMULA_H
#define TESTS_UNIT_FORMULA_H

#include <stdint.h>

#include "launch/state.h"

/* Parameters of this rank's slice and running statistics, by their names without the first `skip`
 * characters. The image is left to be gathered. */
void formula_fill(pl_state *state, size_t skip);

/* (rows, side, side, 3) */
void formula_images(const char *name, int rows, int side, float *images);

/* (rows, context): ids, then the largest of all, which ends a text, then nothing. */
void formula_texts(int rows, int context, int vocabulary, int32_t *ids);

/* A tensor's sum of squares and its products with vectors of signs; those of the difference of two
 * tensors have its length as their deviation. */
enum { FORMULA_SIGNS = 8 };
typedef struct formula_digest {
  double squares, product[FORMULA_SIGNS];
} formula_digest;

/* Adds elements [first, first + n) of the tensor `name`. */
void formula_digest_add(const char *name, int64_t first, int64_t n, const float *values,
                        formula_digest *digest);

#endif
