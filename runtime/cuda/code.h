/* What device code (X.cu) is written with. Compiled by nvcc; tests also compile it for the
 * processor, where a block's threads take turns (tests/emulation). So kernels are started with
 * PL_LAUNCH, use one-dimensional grids and blocks, PL_SHARED for static shared memory,
 * __syncthreads, warp shuffles and tensor_core.h, and nothing else of the language. What belongs to
 * a file alone is in a namespace without a name. */
#ifndef PL_CUDA_CODE_H
#define PL_CUDA_CODE_H

#include <cuda_bf16.h>
#include <cuda_runtime.h>

/* The emulation's headers of these names bring their own. PL_UNROLL stands before loops over
 * registers, which have to be unrolled to be that. */
#ifdef __CUDACC__
#define PL_LAUNCH(kernel, blocks, threads, stream, ...) \
  kernel<<<(unsigned)(blocks), (unsigned)(threads), 0, (stream)>>>(__VA_ARGS__)
#define PL_SHARED __shared__
#define PL_UNROLL _Pragma("unroll")

/* 2^x as exp2f gives it, but 0 where that is below all normal numbers, for whose sake exp2f takes
 * four instructions. Volatile: results that are worked out early take up registers. */
__device__ inline float pl_exp2(float x) {
  float power;
  asm volatile("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}
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

/* Four neighbours at once, from an address that is aligned to all four. */
struct alignas(8) pl_four_bf16 {
  __nv_bfloat16 x, y, z, w;
};
__device__ inline float4 pl_read4(const float *from, size_t i) {
  return *reinterpret_cast<const float4 *>(from + i);
}
__device__ inline float4 pl_read4(const __nv_bfloat16 *from, size_t i) {
  pl_four_bf16 v = *reinterpret_cast<const pl_four_bf16 *>(from + i);
  return make_float4(__bfloat162float(v.x), __bfloat162float(v.y), __bfloat162float(v.z),
                     __bfloat162float(v.w));
}
__device__ inline void pl_write4(float *to, size_t i, float4 v) {
  *reinterpret_cast<float4 *>(to + i) = v;
}
__device__ inline void pl_write4(__nv_bfloat16 *to, size_t i, float4 v) {
  pl_four_bf16 narrow = {__float2bfloat16_rn(v.x), __float2bfloat16_rn(v.y),
                         __float2bfloat16_rn(v.z), __float2bfloat16_rn(v.w)};
  *reinterpret_cast<pl_four_bf16 *>(to + i) = narrow;
}
/* Whether an array begins at such an address. */
template <typename T>
inline bool pl_fours(const T *array) {
  return reinterpret_cast<uintptr_t>(array) % (4 * sizeof(T)) == 0;
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
#define PL_BY_TYPE(type, function, ...)     \
  do {                                      \
    if ((type) == PL_BF16)                  \
      function<__nv_bfloat16>(__VA_ARGS__); \
    else                                    \
      function<float>(__VA_ARGS__);         \
  } while (0)

/* Calls `function<In, Out>(…)`; not for f32 in and bf16 out. */
#define PL_BY_TYPES(in_type, out_type, function, ...)      \
  do {                                                     \
    if ((out_type) == PL_BF16)                             \
      function<__nv_bfloat16, __nv_bfloat16>(__VA_ARGS__); \
    else if ((in_type) == PL_BF16)                         \
      function<__nv_bfloat16, float>(__VA_ARGS__);         \
    else                                                   \
      function<float, float>(__VA_ARGS__);                 \
  } while (0)

#endif
