/* Reading and writing activations of either type as f32, one element at a time. With `type` known
 * when compiled (through PL_INLINE functions) loops over these become vector code. */
#ifndef PL_CPU_ELEMENT_H
#define PL_CPU_ELEMENT_H

#include "runtime/tensor/dtype.h"

#define PL_INLINE static inline __attribute__((always_inline))

PL_INLINE float pl_get(pl_dtype type, const void *from, size_t i) {
  return type == PL_BF16 ? pl_bf16_to_f32(((const pl_bf16 *)from)[i]) : ((const float *)from)[i];
}

PL_INLINE void pl_put(pl_dtype type, void *to, size_t i, float value) {
  if (type == PL_BF16)
    ((pl_bf16 *)to)[i] = pl_f32_to_bf16(value);
  else
    ((float *)to)[i] = value;
}

/* Where element i of an array of this type stands. */
static inline void *pl_at(pl_dtype type, const void *array, size_t i) {
  return (char *)array + i * pl_dtype_bytes(type);
}

#endif
