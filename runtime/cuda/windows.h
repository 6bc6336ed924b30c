/* Convolutions as matrix products whose lines are the windows: what is done with patches that stand
 * side by side and with 1×1, and with all that cuDNN does not do. Weights and their gradient are
 * read and written in the parameter's order, the gradient in f32 without having been rounded. */
#ifndef PL_CUDA_WINDOWS_H
#define PL_CUDA_WINDOWS_H

#include "runtime/cuda/dense.h"
#include "runtime/cuda/launch.h"
#include "runtime/net/kernel.h"

typedef struct pl_window_product {
  pl_cuda_windows windows; /* of the rows that are done at once */
  int pieces;              /* as often */
  bool need_dx;
  size_t lines_bytes; /* of scratch for the lines of a piece; 0: the lines are x itself */
  pl_dense dense;
} pl_window_product;

/* `product` starts as zeros; pl_window_product_free leaves it so. Windows that overlap are many
 * times what they are gathered from: then as many rows are done at once as take `most_bytes`, but
 * one at least. */
pl_status pl_window_product_create(const pl_kernel_spec *spec, size_t most_bytes,
                                   pl_window_product *product);
void pl_window_product_free(pl_window_product *product);

size_t pl_window_product_scratch_bytes(const pl_window_product *product);

/* weight: where it is on the device, from now on. */
pl_status pl_window_product_load(pl_window_product *product, const void *weight);
pl_status pl_window_product_forward(const pl_window_product *product, const void *x, void *y,
                                    void *scratch);
/* dx only where the plan needs it. `add_dx`: to what is there, where pl_window_product_adds. */
pl_status pl_window_product_backward(const pl_window_product *product, const void *x,
                                     const void *dy, bool add_dx, void *dx, float *dweight,
                                     void *scratch);
static inline bool pl_window_product_adds(const pl_window_product *product) {
  return product->lines_bytes == 0;
}

#endif
