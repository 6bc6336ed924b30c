/* Linear layers forward: y = x Wᵀ + b with the weights in an order of oneDNN's choice, which makes
 * this faster than a product of plain matrices (onednn_product.h). */
#ifndef PL_CPU_ONEDNN_LINEAR_H
#define PL_CPU_ONEDNN_LINEAR_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/status.h"
#include "runtime/tensor/dtype.h"

typedef struct pl_dnn_linear pl_dnn_linear;

typedef struct pl_dnn_linear_spec {
  int lines, inner, features; /* x is (lines, inner), y (lines, features) */
  bool transposed;            /* weights are given as (inner, features), else (features, inner) */
  bool bias;                  /* (features), f32 */
  pl_dtype type;              /* of x and the weights */
  pl_dtype out_type;
} pl_dnn_linear_spec;

pl_status pl_dnn_linear_create(const pl_dnn_linear_spec *spec, pl_dnn_linear **out);
void pl_dnn_linear_destroy(pl_dnn_linear **linear);

size_t pl_dnn_linear_scratch_bytes(const pl_dnn_linear *linear);

/* Takes weights, of spec->type. */
pl_status pl_dnn_linear_load(pl_dnn_linear *linear, const void *weights);

/* `scratch` holds scratch_bytes, aligned to PL_ALIGNMENT; `bias` is NULL where there is none. */
pl_status pl_dnn_linear_run(pl_dnn_linear *linear, const void *x, const float *bias, void *y,
                            void *scratch);

#endif
