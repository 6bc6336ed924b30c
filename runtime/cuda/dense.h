/* Products with a weight matrix, over lines of values: what linear layers and convolutions of 1×1
 * are made of. y = x Wᵀ + b, dx = dy W, dW = dyᵀ x; the weight is (features, inner), or where it is
 * `transposed` (inner, features), and so is its gradient. */
#ifndef PL_CUDA_DENSE_H
#define PL_CUDA_DENSE_H

#include "runtime/cuda/product.h"

typedef struct pl_dense_spec {
  int lines, inner, features; /* x is (lines, inner), y (lines, features) */
  bool transposed;
  bool backward, need_dx;
  bool bias;
  pl_dtype type;     /* of x, dx, dy and the weight */
  pl_dtype out_type; /* of y and the bias */
} pl_dense_spec;

typedef struct pl_dense {
  pl_dense_spec spec;
  pl_product *forward, *backward_data, *backward_weight;
  const void *weight;
} pl_dense;

/* `dense` starts as zeros; pl_dense_free leaves it so. */
pl_status pl_dense_create(const pl_dense_spec *spec, pl_dense *dense);
void pl_dense_free(pl_dense *dense);

/* Where weight and bias (features; NULL where there is none) are on the device, from now on. */
pl_status pl_dense_load(pl_dense *dense, const void *weight, const void *bias);

size_t pl_dense_scratch_bytes(const pl_dense *dense);
pl_status pl_dense_forward(const pl_dense *dense, const void *x, void *y, void *scratch);
/* The gradients, of the input only where the plan needs it. dweight is f32. `add`: to what is
 * there.
 */
pl_status pl_dense_backward_weight(const pl_dense *dense, const void *x, const void *dy, bool add,
                                   float *dweight, void *scratch);
pl_status pl_dense_backward_data(const pl_dense *dense, const void *dy, bool add, void *dx,
                                 void *scratch);

#endif
