/* Element types of stored numbers, and conversion between them. */
#ifndef PL_TENSOR_DTYPE_H
#define PL_TENSOR_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum pl_dtype { PL_F32, PL_BF16, PL_U8, PL_I32 } pl_dtype;

typedef uint16_t pl_bf16; /* the upper half of a float */

static inline size_t pl_dtype_bytes(pl_dtype type) {
  return type == PL_BF16 ? 2 : type == PL_U8 ? 1 : 4;
}

const char *pl_dtype_name(pl_dtype type);

static inline float pl_bf16_to_f32(pl_bf16 x) {
  uint32_t bits = (uint32_t)x << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Rounds to nearest, ties to even; NaN stays NaN. */
static inline pl_bf16 pl_f32_to_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  uint32_t quiet_nan = (bits >> 16) | 0x40u;
  return (pl_bf16)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet_nan : rounded);
}

/* n elements; the arrays must not overlap. */
void pl_convert_f32_to_bf16(pl_bf16 *to, const float *from, size_t n);

#endif
