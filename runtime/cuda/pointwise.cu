#include "runtime/cuda/map.h"

namespace {

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

enum { THREADS = 256 };

size_t blocks_for(size_t n) { return (n + THREADS - 1) / THREADS; }

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
  pl_map<sum_of>(stream, n, to, (const float *)to, from);
}

void pl_launch_add_f64(pl_stream stream, double *to, const double *from, size_t n) {
  if (n > 0) PL_LAUNCH(add_f64_kernel, blocks_for(n), THREADS, stream, to, from, n);
}

void pl_launch_add(pl_stream stream, pl_dtype type, void *to, const void *a, const void *b,
                   size_t n) {
  pl_map_typed<sum_of>(stream, type, n, to, a, b);
}

void pl_launch_convert(pl_stream stream, pl_dtype to_type, void *to, pl_dtype from_type,
                       const void *from, size_t n) {
  if (to_type == from_type)
    pl_map_typed<itself>(stream, to_type, n, to, from);
  else if (to_type == PL_BF16)
    pl_map<itself>(stream, n, (__nv_bfloat16 *)to, (const float *)from);
  else
    pl_map<itself>(stream, n, (float *)to, (const __nv_bfloat16 *)from);
}

void pl_launch_relu(pl_stream stream, pl_dtype type, void *y, const void *x, size_t n) {
  pl_map_typed<positive_part>(stream, type, n, y, x);
}

void pl_launch_relu_gradient(pl_stream stream, pl_dtype type, void *dx, const void *y,
                             const void *dy, size_t n) {
  pl_map_typed<where_positive>(stream, type, n, dx, y, dy);
}

void pl_launch_moments(pl_stream stream, double *statistic, const double *totals, size_t channels,
                       double count) {
  PL_LAUNCH(moments_kernel, blocks_for(channels), THREADS, stream, statistic, totals, channels,
            count);
}
