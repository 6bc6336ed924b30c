#include "runtime/cuda/code.h"

namespace {

enum { THREADS = 256 };

/* Of a map, a thread has so many fours, a block apart: enough of them on their way from memory. */
enum { FOURS = 2, PER_BLOCK = THREADS * 4 * FOURS };

size_t blocks_for(size_t threads) { return (threads + THREADS - 1) / THREADS; }

struct sum_of {
  __device__ static float of(float a, float b) { return a + b; }
};
struct itself {
  __device__ static float of(float x) { return x; }
};
struct positive_part {
  __device__ static float of(float x) { return x < 0 ? 0 : x; } /* keeps a NaN */
};
struct where_positive {
  __device__ static float of(float y, float dy) { return y > 0 ? dy : 0; }
};

template <typename F, typename... Four>
__device__ inline float4 each(Four... v) {
  return make_float4(F::of(v.x...), F::of(v.y...), F::of(v.z...), F::of(v.w...));
}

/* to[i] = F(from[i]…); a thread reads all its elements before it writes them, so `to` may be one of
 * the others. */
template <typename F, typename To, typename... From>
__global__ void map_kernel(To *to, size_t n, bool fours, const From *...from) {
  size_t begin = blockIdx.x * (size_t)PER_BLOCK, first = begin + threadIdx.x * (size_t)4;
  if (fours && begin + PER_BLOCK <= n) {
    float4 v[FOURS];
    PL_UNROLL
    for (int k = 0; k < FOURS; k++) v[k] = each<F>(pl_read4(from, first + k * THREADS * 4)...);
    PL_UNROLL
    for (int k = 0; k < FOURS; k++) pl_write4(to, first + k * THREADS * 4, v[k]);
  } else {
    for (size_t i = begin + threadIdx.x; i < begin + PER_BLOCK && i < n; i += THREADS)
      pl_write(to, i, F::of(pl_read(from, i)...));
  }
}

template <typename F, typename To, typename... From>
void map(pl_stream stream, size_t n, To *to, const From *...from) {
  if (n == 0) return;
  bool fours = pl_fours(to);
  const bool aligned[] = {pl_fours(from)...};
  for (bool one : aligned) fours = fours && one;
  PL_LAUNCH((map_kernel<F, To, From...>), (n + PER_BLOCK - 1) / PER_BLOCK, THREADS, stream, to, n,
            fours, from...);
}

/* The same for arrays that share a type known at run time. */
template <typename F, typename... From>
void map_typed(pl_stream stream, pl_dtype type, size_t n, void *to, const From *...from) {
  if (type == PL_BF16)
    map<F>(stream, n, (__nv_bfloat16 *)to, (const __nv_bfloat16 *)from...);
  else
    map<F>(stream, n, (float *)to, (const float *)from...);
}

__global__ void add_f64_kernel(double *to, const double *from, size_t n) {
  size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (i < n) to[i] += from[i];
}

/* A single element has no variance either way. */
__global__ void moments_kernel(double *statistic, const double *totals, size_t channels,
                               double count) {
  size_t c = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (c >= channels) return;
  double mean = totals[c] / count;
  double biased = totals[channels + c] / count - mean * mean;
  double unbiased = count > 1 ? count / (count - 1) : 1;
  statistic[c] = mean;
  statistic[channels + c] = biased > 0 ? biased * unbiased : 0;
}

}  // namespace

void pl_launch_add_f32(pl_stream stream, float *to, const float *from, size_t n) {
  map<sum_of>(stream, n, to, (const float *)to, from);
}

void pl_launch_add_f64(pl_stream stream, double *to, const double *from, size_t n) {
  if (n > 0) PL_LAUNCH(add_f64_kernel, blocks_for(n), THREADS, stream, to, from, n);
}

void pl_launch_add(pl_stream stream, pl_dtype type, void *to, const void *a, const void *b,
                   size_t n) {
  map_typed<sum_of>(stream, type, n, to, a, b);
}

void pl_launch_convert(pl_stream stream, pl_dtype to_type, void *to, pl_dtype from_type,
                       const void *from, size_t n) {
  if (to_type == from_type)
    map_typed<itself>(stream, to_type, n, to, from);
  else if (to_type == PL_BF16)
    map<itself>(stream, n, (__nv_bfloat16 *)to, (const float *)from);
  else
    map<itself>(stream, n, (float *)to, (const __nv_bfloat16 *)from);
}

void pl_launch_relu(pl_stream stream, pl_dtype type, void *y, const void *x, size_t n) {
  map_typed<positive_part>(stream, type, n, y, x);
}

void pl_launch_relu_gradient(pl_stream stream, pl_dtype type, void *dx, const void *y,
                             const void *dy, size_t n) {
  map_typed<where_positive>(stream, type, n, dx, y, dy);
}

void pl_launch_moments(pl_stream stream, double *statistic, const double *totals, size_t channels,
                       double count) {
  PL_LAUNCH(moments_kernel, blocks_for(channels), THREADS, stream, statistic, totals, channels,
            count);
}
