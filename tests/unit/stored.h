/* What other programs computed, in files below tests/parity/, and how ours is held against it. */
#ifndef TESTS_UNIT_STORED_H
#define TESTS_UNIT_STORED_H

#include "launch/state.h"
#include "tests/unit/formula.h"

/* Each of `count` values within 1e-5 of the largest of the file `name`, which holds as many
 * float32. Says the largest difference. */
void stored_check_values(const char *name, const float *values, size_t count);

/* A part of the method for evaluation, `rows` images or texts, with the state's image and running
 * statistics. */
void stored_run_part(const pl_method *method, const pl_state *state, pl_part part, int rows,
                     const void *input, float *out);

typedef struct stored_tensor {
  char name[PL_NAME_MAX];
  double length; /* root of the sum of squares */
  double product[FORMULA_SIGNS];
} stored_tensor;

/* A step: tests/parity/method_reference.py. */
typedef struct stored_step {
  int images; /* the number in the images' name */
  double loss;
  int count;
  stored_tensor *tensor; /* (count) */
} stored_step;

/* From the file `name`. The caller frees it. */
stored_step stored_step_read(const char *name);
void stored_step_free(stored_step *step);

/* The stored tensor of that name, which must be there. */
const stored_tensor *stored_find(const stored_step *step, const char *name);

/* How far a tensor is from the stored one, estimated from its digest: the length of the difference
 * over that of the stored tensor. */
double stored_distance(const stored_tensor *expected, const formula_digest *found);

#endif
