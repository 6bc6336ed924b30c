#include "runtime/tensor/dtype.h"

const char *pl_dtype_name(pl_dtype type) {
  return type == PL_F32 ? "f32" : type == PL_BF16 ? "bf16" : "u8";
}

void pl_convert_f32_to_bf16(pl_bf16 *to, const float *from, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) to[i] = pl_f32_to_bf16(from[i]);
}
