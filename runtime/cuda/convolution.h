/* Convolutions on the device by cuDNN, without bias: activations (rows, height, width, channels),
 * weights (out, kernel, kernel, in), all of one type, with sums in f32. A plan is made once and run
 * many times; only engines that add in a fixed order are used. For the gradient of weights cuDNN 9
 * has none on an H100 that writes f32 from bf16 and needs no compiler at run time: that gradient is
 * rounded to bf16 in each micro-batch, as it is under PyTorch's autocast. */
#ifndef PL_CUDA_CONVOLUTION_H
#define PL_CUDA_CONVOLUTION_H

#include "runtime/net/graph.h"

typedef struct pl_convolution_spec {
  int rows;
  pl_shape in, out;
  pl_window window;
  pl_dtype type;      /* PL_F32 or PL_BF16 */
  bool backward_data; /* what will be run besides forward */
  bool backward_weights;
  bool tf32; /* f32 may be rounded to 10 bits of fraction before it is multiplied */
} pl_convolution_spec;

typedef struct pl_convolution pl_convolution;

/* *out is NULL where cuDNN lacks an engine for one of the directions; the log says which. With
 * no device open it can be planned with, as for an H100, but not run. Not thread-safe: convolutions
 * that are alike are one. */
pl_status pl_convolution_create(const pl_convolution_spec *spec, pl_convolution **out);
void pl_convolution_destroy(pl_convolution **convolution);

/* What `scratch` has to hold in a run of any direction. */
size_t pl_convolution_scratch_bytes(const pl_convolution *convolution);

pl_status pl_convolution_forward(const pl_convolution *c, const void *x, const void *weights,
                                 void *y, void *scratch);
pl_status pl_convolution_backward_data(const pl_convolution *c, const void *dy, const void *weights,
                                       void *dx, void *scratch);
/* dweights has the plan's type, too. */
pl_status pl_convolution_backward_weights(const pl_convolution *c, const void *x, const void *dy,
                                          void *dweights, void *scratch);

#endif
