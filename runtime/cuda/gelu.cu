/* y = x s(x), and dx = dy (s(x) + x s'(x)), four elements a thread. Not as the last step of the
 * product before, which cuBLASLt could do in passing: its GELU is the form with tanh, neither of
 * those that are promised. */
#include "runtime/cuda/code.h"

namespace {

enum { THREADS = 256, AT_ONCE = 4 };

/* Φ, the normal distribution. The complementary error function keeps its digits in the tail. */
struct normal {
  __device__ static float share(float x) { return 0.5F * erfcf(-0.707106781F * x); }
  __device__ static float slope(float x) { return 0.398942280F * expf(-0.5F * x * x); }
};

/* The logistic function of 1.702 x. */
struct logistic {
  __device__ static float share(float x) {
    float e = expf(-1.702F * fabsf(x)), whole = 1.0F / (1.0F + e);
    return x > 0 ? whole : e * whole;
  }
  __device__ static float slope(float x) {
    float e = expf(-1.702F * fabsf(x)), whole = 1.0F / (1.0F + e);
    return 1.702F * e * whole * whole;
  }
};

template <typename S>
__device__ inline float value(float x) {
  return x * S::share(x);
}
template <typename S>
__device__ inline float gradient(float x, float dy) {
  return dy * (S::share(x) + x * S::slope(x));
}

template <typename S, typename T>
__global__ void forward_kernel(T *y, const T *x, size_t n, bool fours) {
  size_t i = (blockIdx.x * (size_t)blockDim.x + threadIdx.x) * AT_ONCE;
  if (fours && i + AT_ONCE <= n) {
    float4 v = pl_read4(x, i);
    pl_write4(y, i, make_float4(value<S>(v.x), value<S>(v.y), value<S>(v.z), value<S>(v.w)));
  } else {
    for (size_t end = i + AT_ONCE; i < end && i < n; i++) pl_write(y, i, value<S>(pl_read(x, i)));
  }
}

template <typename S, typename T>
__global__ void backward_kernel(T *dx, const T *x, const T *dy, size_t n, bool fours) {
  size_t i = (blockIdx.x * (size_t)blockDim.x + threadIdx.x) * AT_ONCE;
  if (fours && i + AT_ONCE <= n) {
    float4 v = pl_read4(x, i), d = pl_read4(dy, i);
    pl_write4(dx, i,
              make_float4(gradient<S>(v.x, d.x), gradient<S>(v.y, d.y), gradient<S>(v.z, d.z),
                          gradient<S>(v.w, d.w)));
  } else {
    for (size_t end = i + AT_ONCE; i < end && i < n; i++)
      pl_write(dx, i, gradient<S>(pl_read(x, i), pl_read(dy, i)));
  }
}

size_t blocks_for(size_t n) { return (n + THREADS * AT_ONCE - 1) / (THREADS * AT_ONCE); }

template <typename T>
void forward(pl_stream stream, bool quick, void *y, const void *x, size_t n) {
  T *to = (T *)y;
  const T *from = (const T *)x;
  bool fours = pl_fours(to) && pl_fours(from);
  if (quick)
    PL_LAUNCH((forward_kernel<logistic, T>), blocks_for(n), THREADS, stream, to, from, n, fours);
  else
    PL_LAUNCH((forward_kernel<normal, T>), blocks_for(n), THREADS, stream, to, from, n, fours);
}

template <typename T>
void backward(pl_stream stream, bool quick, void *dx, const void *x, const void *dy, size_t n) {
  T *to = (T *)dx;
  const T *from = (const T *)x, *d = (const T *)dy;
  bool fours = pl_fours(to) && pl_fours(from) && pl_fours(d);
  if (quick)
    PL_LAUNCH((backward_kernel<logistic, T>), blocks_for(n), THREADS, stream, to, from, d, n,
              fours);
  else
    PL_LAUNCH((backward_kernel<normal, T>), blocks_for(n), THREADS, stream, to, from, d, n, fours);
}

}  // namespace

void pl_launch_gelu(pl_stream stream, pl_dtype type, bool quick, void *y, const void *x, size_t n) {
  PL_BY_TYPE(type, forward, stream, quick, y, x, n);
}

void pl_launch_gelu_gradient(pl_stream stream, pl_dtype type, bool quick, void *dx, const void *x,
                             const void *dy, size_t n) {
  PL_BY_TYPE(type, backward, stream, quick, dx, x, dy, n);
}
