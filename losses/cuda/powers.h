/* Powers of two of similarities, which the losses add up. */
#ifndef LOSSES_CUDA_POWERS_H
#define LOSSES_CUDA_POWERS_H

#include "runtime/cuda/code.h"

/* What is subtracted from steep·s so that the largest power is about 1. Always the rounded product:
 * if it were contracted with the subtraction behind it, sums relative to it would not fit. */
__device__ inline float pl_base(float top, float steep) { return __fmul_rn(top, steep); }

/* Σ 2^{steep·s − base}; a NaN comes through. */
template <int N>
__device__ inline float pl_powers(const float (&s)[N], float steep, float base) {
  float sum = 0;
  for (int k = 0; k < N; k++) sum += pl_exp2(s[k] * steep - base);
  return sum;
}

/* The share of a pair in the softmax of its row and in that of its column. */
__device__ inline float pl_two_powers(float s, float steep, float row_norm, float col_norm) {
  return pl_exp2(s * steep - row_norm) + pl_exp2(s * steep - col_norm);
}

#endif
