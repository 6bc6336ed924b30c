/* Element by element: sums and conversions that the backend offers by themselves. */
#ifndef PL_CPU_POINTWISE_H
#define PL_CPU_POINTWISE_H

#include "runtime/base/status.h"
#include "runtime/tensor/dtype.h"

pl_status pl_pointwise_add(pl_dtype type, void *to, const void *a, const void *b, size_t n);
pl_status pl_pointwise_convert(pl_dtype to_type, void *to, pl_dtype from_type, const void *from,
                               size_t n);

#endif
