/* Functions of single elements over whole arrays. F is a struct with one: static float of(float …).
 */
#ifndef PL_CUDA_MAP_H
#define PL_CUDA_MAP_H

#include "runtime/cuda/code.h"

/* A thread has so many fours, a block apart: enough of them on their way from memory. */
enum { PL_MAP_THREADS = 256, PL_MAP_FOURS = 2, PL_MAP_BLOCK = PL_MAP_THREADS * 4 * PL_MAP_FOURS };

template <typename F, typename... Four>
__device__ inline float4 pl_each(Four... v) {
  return make_float4(F::of(v.x...), F::of(v.y...), F::of(v.z...), F::of(v.w...));
}

template <typename F, typename To, typename... From>
static __global__ void pl_map_kernel(To *to, size_t n, bool fours, const From *...from) {
  size_t begin = blockIdx.x * (size_t)PL_MAP_BLOCK, first = begin + threadIdx.x * (size_t)4;
  if (fours && begin + PL_MAP_BLOCK <= n) {
    float4 v[PL_MAP_FOURS];
    PL_UNROLL
    for (int k = 0; k < PL_MAP_FOURS; k++)
      v[k] = pl_each<F>(pl_read4(from, first + k * PL_MAP_THREADS * 4)...);
    PL_UNROLL
    for (int k = 0; k < PL_MAP_FOURS; k++) pl_write4(to, first + k * PL_MAP_THREADS * 4, v[k]);
  } else {
    for (size_t i = begin + threadIdx.x; i < begin + PL_MAP_BLOCK && i < n; i += PL_MAP_THREADS)
      pl_write(to, i, F::of(pl_read(from, i)...));
  }
}

/* to[i] = F(from[i]…); a thread reads all its elements before it writes them, so `to` may be one of
 * the others. */
template <typename F, typename To, typename... From>
void pl_map(pl_stream stream, size_t n, To *to, const From *...from) {
  if (n == 0) return;
  bool fours = pl_fours(to);
  const bool aligned[] = {pl_fours(from)...};
  for (bool one : aligned) fours = fours && one;
  PL_LAUNCH((pl_map_kernel<F, To, From...>), (n + PL_MAP_BLOCK - 1) / PL_MAP_BLOCK, PL_MAP_THREADS,
            stream, to, n, fours, from...);
}

/* The same for arrays that share a type known at run time. */
template <typename F, typename... From>
void pl_map_typed(pl_stream stream, pl_dtype type, size_t n, void *to, const From *...from) {
  if (type == PL_BF16)
    pl_map<F>(stream, n, (__nv_bfloat16 *)to, (const __nv_bfloat16 *)from...);
  else
    pl_map<F>(stream, n, (float *)to, (const float *)from...);
}

#endif
