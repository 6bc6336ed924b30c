/* Matrix products of one fixed shape, one or several in a call. A call takes one thread or a whole
 * team: on one thread many run at once, and their sums never depend on the size of the team. Sums
 * are in f32 or wider. */
#ifndef PL_CPU_ONEDNN_PRODUCT_H
#define PL_CPU_ONEDNN_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/status.h"
#include "runtime/tensor/dtype.h"

typedef struct pl_dnn_product pl_dnn_product;

/* out (rows, cols) = left (rows, inner) · right (inner, cols); rows of all lie without gaps. */
typedef struct pl_dnn_product_spec {
  int count; /* products of a call; their matrices lie one behind the other */
  int rows, inner, cols;
  bool left_transposed;  /* left is given as (inner, rows) */
  bool right_transposed; /* right is given as (cols, inner) */
  pl_dtype type;         /* of left and right */
  pl_dtype out_type;
  int slots;   /* calls that may run at once, each with its own slot */
  int threads; /* of a call */
} pl_dnn_product_spec;

pl_status pl_dnn_product_create(const pl_dnn_product_spec *spec, pl_dnn_product **out);
void pl_dnn_product_destroy(pl_dnn_product **product);

/* Bytes that a call needs for itself. */
size_t pl_dnn_product_scratch_bytes(const pl_dnn_product *product);

/* `scratch` holds scratch_bytes, aligned to PL_ALIGNMENT. */
pl_status pl_dnn_product_run(pl_dnn_product *product, int slot, const void *left, const void *right,
                             void *out, void *scratch);

#endif
