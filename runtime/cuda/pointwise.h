/* Sums and conversions of whole arrays, as the backend's table has them. */
#ifndef PL_CUDA_POINTWISE_H
#define PL_CUDA_POINTWISE_H

#include "runtime/base/status.h"
#include "runtime/tensor/dtype.h"

pl_status pl_cuda_add_arrays(pl_dtype type, void *to, const void *a, const void *b, size_t n);
pl_status pl_cuda_convert(pl_dtype to_type, void *to, pl_dtype from_type, const void *from,
                          size_t n);
pl_status pl_cuda_moments(double *statistic, const double *totals, size_t channels, double count);

#endif
