/* Matrix products on the device by cuBLASLt, for matrices as the rest of the program has them: row
 * by row. A plan is made once and run many times; it always takes the same algorithm, one that adds
 * in a fixed order. */
#ifndef PL_CUDA_PRODUCT_H
#define PL_CUDA_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/memory.h"
#include "runtime/base/status.h"
#include "runtime/tensor/dtype.h"

/* How a matrix lies in memory, in elements. */
typedef struct pl_product_matrix {
  bool transposed;   /* what is stored is the transpose of what is multiplied; not for the result */
  int64_t line;      /* from one stored line to the next */
  int64_t step;      /* from one matrix of the batch to the next */
  int64_t placement; /* the first element lies a multiple of so many behind an address that is
                        aligned to PL_ALIGNMENT; 0: at one */
} pl_product_matrix;

/* out = left · right + bias for each matrix of the batch: (rows, inner) · (inner, cols). */
typedef struct pl_product_spec {
  int batch, rows, inner, cols;
  pl_product_matrix left, right, out;
  pl_dtype type;     /* of left and right: PL_F32, PL_BF16; sums are f32 */
  pl_dtype out_type; /* of out and bias: type, or PL_F32 */
  bool bias;         /* of one matrix only */
  bool tf32;         /* f32 may be rounded to 10 bits of fraction before it is multiplied */
} pl_product_spec;

typedef struct pl_product pl_product;

pl_status pl_product_create(const pl_product_spec *spec, pl_product **out);
void pl_product_destroy(pl_product **product);

/* Where the bias is: (cols) on the device, aligned to PL_ALIGNMENT, as cuBLASLt can't be told of
 * less; for all runs from now on. Only where there is one. */
pl_status pl_product_set_bias(pl_product *product, const void *bias);

/* What `scratch` has to hold in a run, and the most that any product asks for: cuBLAS recommends 32
 * MiB for Hopper, with less some of its kernels are left out. Scratch may begin at any multiple of
 * PL_ALIGNMENT. */
enum { PL_PRODUCT_MOST_SCRATCH = (32 << 20) + 256 };
size_t pl_product_scratch_bytes(const pl_product *product);
pl_status pl_product_run(const pl_product *product, const void *left, const void *right, void *out,
                         void *scratch);
/* out += left · right, rounded once; for a plan without bias. */
pl_status pl_product_add(const pl_product *product, const void *left, const void *right, void *out,
                         void *scratch);

/* The alignment that a matrix is sure to have, in bytes: a power of two up to PL_ALIGNMENT. */
static inline size_t pl_product_alignment(const pl_product_matrix *matrix, pl_dtype type) {
  size_t bytes = (size_t)matrix->placement * pl_dtype_bytes(type), alignment = PL_ALIGNMENT;
  while (bytes % alignment != 0) alignment /= 2;
  return alignment;
}

#endif
