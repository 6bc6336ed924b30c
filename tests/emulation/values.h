/* Elements of arrays of either type. */
#ifndef TESTS_EMULATION_VALUES_H
#define TESTS_EMULATION_VALUES_H

#include <stdint.h>

extern "C" {
#include "runtime/tensor/dtype.h"
}

inline float value_read(pl_dtype type, const void *from, int64_t i) {
  return type == PL_F32 ? ((const float *)from)[i] : pl_bf16_to_f32(((const pl_bf16 *)from)[i]);
}

inline void value_write(pl_dtype type, void *to, int64_t i, double value) {
  if (type == PL_F32)
    ((float *)to)[i] = (float)value;
  else
    ((pl_bf16 *)to)[i] = pl_f32_to_bf16((float)value);
}

#endif
