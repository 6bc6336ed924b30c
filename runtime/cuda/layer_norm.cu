#include "runtime/cuda/columns.h"

namespace {

enum { THREADS = 128, PER_BLOCK = THREADS / PL_WARP }; /* a warp for each position of a block */

/* What a position keeps for backward. */
struct statistics {
  float mean, inverse;
};

/* Two passes over x, which stays in the nearest cache: squares of differences lose no digits where
 * the mean is large. */
template <int N, typename T>
__device__ inline statistics statistics_of(const T *x, size_t channels, float epsilon,
                                           unsigned lane) {
  float sum = 0, square = 0;
  for (size_t c = lane * N; c < channels; c += PL_WARP * N) {
    pl_values<N> v = pl_read_values<N>(x, c);
    for (int n = 0; n < N; n++) sum += v.at[n];
  }
  float mean = pl_warp_sum(sum) / (float)channels;
  for (size_t c = lane * N; c < channels; c += PL_WARP * N) {
    pl_values<N> v = pl_read_values<N>(x, c);
    for (int n = 0; n < N; n++) square += (v.at[n] - mean) * (v.at[n] - mean);
  }
  float variance = pl_warp_sum(square) / (float)channels;
  return {mean, 1.0F / sqrtf(variance + epsilon)};
}

template <int N, typename T>
__global__ void forward_kernel(pl_cuda_layer_norm_shape shape, const float *gain, const float *bias,
                               const T *x, T *y, statistics *kept) {
  size_t p = blockIdx.x * (size_t)PER_BLOCK + threadIdx.x / PL_WARP, channels = shape.channels;
  unsigned lane = threadIdx.x % PL_WARP;
  if (p >= shape.positions) return;
  x += p * channels;
  y += p * channels;
  statistics s = statistics_of<N>(x, channels, shape.epsilon, lane);
  if (kept && lane == 0) kept[p] = s;
  for (size_t c = lane * N; c < channels; c += PL_WARP * N) {
    pl_values<N> v = pl_read_values<N>(x, c), g = pl_read_values<N>(gain, c),
                 b = pl_read_values<N>(bias, c);
    for (int n = 0; n < N; n++) v.at[n] = (v.at[n] - s.mean) * s.inverse * g.at[n] + b.at[n];
    pl_write_values<N>(y, c, v);
  }
}

/* dx = (g - mean g - x̂ mean(g x̂)) / sqrt(var + epsilon), where g = dy gain. */
template <int N, typename T>
__global__ void gradient_kernel(pl_cuda_layer_norm_shape shape, const float *gain,
                                const statistics *kept, const T *x, const T *dy, T *dx) {
  size_t p = blockIdx.x * (size_t)PER_BLOCK + threadIdx.x / PL_WARP, channels = shape.channels;
  unsigned lane = threadIdx.x % PL_WARP;
  if (p >= shape.positions) return;
  x += p * channels;
  dy += p * channels;
  dx += p * channels;
  statistics s = kept[p];
  float sum = 0, along = 0;
  for (size_t c = lane * N; c < channels; c += PL_WARP * N) {
    pl_values<N> v = pl_read_values<N>(x, c), d = pl_read_values<N>(dy, c),
                 w = pl_read_values<N>(gain, c);
    for (int n = 0; n < N; n++) {
      float g = d.at[n] * w.at[n];
      sum += g;
      along += g * ((v.at[n] - s.mean) * s.inverse);
    }
  }
  float mean = pl_warp_sum(sum) / (float)channels, slope = pl_warp_sum(along) / (float)channels;
  for (size_t c = lane * N; c < channels; c += PL_WARP * N) {
    pl_values<N> v = pl_read_values<N>(x, c), d = pl_read_values<N>(dy, c),
                 w = pl_read_values<N>(gain, c);
    for (int n = 0; n < N; n++) {
      float normal = (v.at[n] - s.mean) * s.inverse;
      v.at[n] = s.inverse * (d.at[n] * w.at[n] - mean - normal * slope);
    }
    pl_write_values<N>(dx, c, v);
  }
}

/* What a position adds to the gradients of gain and bias. */
template <typename T>
struct line_gradient {
  const T *x, *dy;
  const statistics *kept;
  size_t channels;
  template <int N>
  __device__ void add(size_t position, size_t c, float (&sum)[2][N]) const {
    statistics s = kept[position];
    pl_values<N> v = pl_read_values<N>(x, position * channels + c);
    pl_values<N> g = pl_read_values<N>(dy, position * channels + c);
    for (int n = 0; n < N; n++) {
      sum[0][n] += g.at[n] * ((v.at[n] - s.mean) * s.inverse);
      sum[1][n] += g.at[n];
    }
  }
};

struct store_line {
  float *dgain, *dbias;
  __device__ void store(size_t c, const double (&sum)[2]) const {
    dgain[c] = (float)sum[0];
    dbias[c] = (float)sum[1];
  }
};

size_t blocks_for(size_t positions) { return (positions + PER_BLOCK - 1) / PER_BLOCK; }

template <typename T>
void forward(pl_stream stream, const pl_cuda_layer_norm_shape &shape, const float *gain,
             const float *bias, const void *from, void *to, statistics *kept) {
  const T *x = (const T *)from;
  T *y = (T *)to;
  size_t blocks = blocks_for(shape.positions);
  if (pl_fours_in(shape.channels, gain, bias, x, y))
    PL_LAUNCH((forward_kernel<4, T>), blocks, THREADS, stream, shape, gain, bias, x, y, kept);
  else
    PL_LAUNCH((forward_kernel<1, T>), blocks, THREADS, stream, shape, gain, bias, x, y, kept);
}

template <typename T>
void input_gradient(pl_stream stream, const pl_cuda_layer_norm_shape &shape, const float *gain,
                    const statistics *kept, const T *x, const T *dy, T *dx) {
  size_t blocks = blocks_for(shape.positions);
  if (pl_fours_in(shape.channels, gain, x, dy, dx))
    PL_LAUNCH((gradient_kernel<4, T>), blocks, THREADS, stream, shape, gain, kept, x, dy, dx);
  else
    PL_LAUNCH((gradient_kernel<1, T>), blocks, THREADS, stream, shape, gain, kept, x, dy, dx);
}

template <typename T>
void backward(pl_stream stream, const pl_cuda_layer_norm_shape &shape, const float *gain,
              const statistics *kept, const void *x, const void *dy, double *partial, float *dgain,
              float *dbias, void *dx) {
  line_gradient<T> term = {(const T *)x, (const T *)dy, kept, shape.channels};
  store_line result = {dgain, dbias};
  pl_column_sums<2>(stream, term, result, pl_fours_in(shape.channels, term.x, term.dy),
                    shape.positions, shape.channels, partial);
  if (dx) input_gradient(stream, shape, gain, kept, term.x, term.dy, (T *)dx);
}

}  // namespace

void pl_launch_layer_norm(pl_stream stream, const pl_cuda_layer_norm_shape *shape,
                          const float *gain, const float *bias, const void *x, void *y,
                          float *kept) {
  PL_BY_TYPE(shape->type, forward, stream, *shape, gain, bias, x, y, (statistics *)kept);
}

void pl_launch_layer_norm_gradient(pl_stream stream, const pl_cuda_layer_norm_shape *shape,
                                   const float *gain, const float *kept, const void *x,
                                   const void *dy, double *partial, float *dgain, float *dbias,
                                   void *dx) {
  PL_BY_TYPE(shape->type, backward, stream, *shape, gain, (const statistics *)kept, x, dy, partial,
             dgain, dbias, dx);
}
