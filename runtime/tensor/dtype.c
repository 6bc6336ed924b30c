#include "runtime/tensor/dtype.h"

const char *pl_dtype_name(pl_dtype type) {
  switch (type) {
    case PL_F32: return "f32";
    case PL_BF16: return "bf16";
    case PL_U8: return "u8";
    case PL_I32: return "i32";
  }
  return "unknown";
}

void pl_convert_f32_to_bf16(pl_bf16 *to, const float *from, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) to[i] = pl_f32_to_bf16(from[i]);
}
