/* Functions that run device code: each starts kernels on `stream` and returns. Plain C on the
 * outside; all pointers but those said to be the host's are memory of the device. `type` is PL_F32
 * or PL_BF16. Sections belong to the files X.cu of the same name. */
#ifndef PL_CUDA_LAUNCH_H
#define PL_CUDA_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/tensor/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *pl_stream; /* cudaStream_t */

/* ---- pointwise.cu ---- */

/* to += from, element by element. */
void pl_launch_add_f32(pl_stream stream, float *to, const float *from, size_t n);
void pl_launch_add_f64(pl_stream stream, double *to, const double *from, size_t n);
/* to = a + b; `to` may be one of them. */
void pl_launch_add(pl_stream stream, pl_dtype type, void *to, const void *a, const void *b,
                   size_t n);
void pl_launch_convert(pl_stream stream, pl_dtype to_type, void *to, pl_dtype from_type,
                       const void *from, size_t n);
/* y = the positive part of x (a NaN stays); dx = dy where y is positive, else 0. */
void pl_launch_relu(pl_stream stream, pl_dtype type, void *y, const void *x, size_t n);
void pl_launch_relu_gradient(pl_stream stream, pl_dtype type, void *dx, const void *y,
                             const void *dy, size_t n);
/* As pl_backend's `moments`. */
void pl_launch_moments(pl_stream stream, double *statistic, const double *totals, size_t channels,
                       double count);

#ifdef __cplusplus
}
#endif

#endif
