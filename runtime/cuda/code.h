/* What device code (X.cu) is written with. Compiled by nvcc; tests also compile it for the
 * processor, where a block's threads take turns (tests/emulation). So kernels are started with
 * PL_LAUNCH, use one-dimensional grids and blocks, PL_SHARED for static shared memory, __syncthreads
 * and warp shuffles, and nothing else of the language. */
#ifndef PL_CUDA_CODE_H
#define PL_CUDA_CODE_H

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#define PL_LAUNCH(kernel, blocks, threads, stream, ...) \
  kernel<<<(unsigned)(blocks), (unsigned)(threads), 0, (stream)>>>(__VA_ARGS__)
#define PL_SHARED __shared__
#else
#include "tests/emulation/language.h"
#endif

#include "runtime/cuda/launch.h"

/* Values of an activation array of either type, as f32. */
template <typename T>
__device__ inline float pl_read(const T *from, size_t i);
template <>
__device__ inline float pl_read<float>(const float *from, size_t i) {
  return from[i];
}
template <>
__device__ inline float pl_read<__nv_bfloat16>(const __nv_bfloat16 *from, size_t i) {
  return __bfloat162float(from[i]);
}
__device__ inline void pl_write(float *to, size_t i, float value) { to[i] = value; }
__device__ inline void pl_write(__nv_bfloat16 *to, size_t i, float value) {
  to[i] = __float2bfloat16_rn(value);
}

enum { PL_WARP = 32 };

/* The sum over a warp's lanes, in every lane, in a fixed order. */
__device__ inline float pl_warp_sum(float value) {
  for (int step = PL_WARP / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFu, value, step);
  }
  return value;
}
__device__ inline double pl_warp_sum(double value) {
  for (int step = PL_WARP / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(0xFFFFFFFFu, value, step);
  }
  return value;
}

/* Calls `function<T>(…)` for the type of activations. */
#define PL_BY_TYPE(type, function, ...)   \
  do {                                    \
    if ((type) == PL_BF16)                \
      function<__nv_bfloat16>(__VA_ARGS__); \
    else                                  \
      function<float>(__VA_ARGS__);       \
  } while (0)

#endif
