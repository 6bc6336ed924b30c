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

/* ---- backward in one pass ----
 *
 * dx = (g - mean g - x̂ mean(g x̂)) / sqrt(var + epsilon), where g = dy gain; and the positions' sums
 * of dy x̂ and dy. Warps keep a position's values and the sums of their positions in registers, so
 * that x and dy are read once. */

/* A block's positions: some for each warp, so that few sums are written, and not so many that their
 * rounding errors, of f32, could add up. Depends on the shape only. */
size_t chunk_of(size_t positions) {
  const size_t blocks = 384, least = 4 * PER_BLOCK, most = 64 * PER_BLOCK;
  size_t chunk = (positions + blocks - 1) / blocks;
  return chunk < least ? least : chunk > most ? most : chunk;
}

size_t chunks_of(size_t positions) {
  size_t chunk = chunk_of(positions);
  return (positions + chunk - 1) / chunk;
}

/* A lane has GROUPS times four columns; partial: (blocks, 2, channels). */
template <int GROUPS, typename T>
__global__ void __launch_bounds__(THREADS)
    one_pass_kernel(pl_cuda_layer_norm_shape shape, size_t chunk, const float *gain,
                    const statistics *kept, const T *x, const T *dy, bool add, T *dx,
                    double *partial) {
  PL_SHARED float sums[PER_BLOCK][2][GROUPS * PL_WARP * 4];
  unsigned lane = threadIdx.x % PL_WARP, warp = threadIdx.x / PL_WARP;
  size_t channels = shape.channels, first = blockIdx.x * chunk;
  size_t end = first + chunk < shape.positions ? first + chunk : shape.positions;
  float of_gain[GROUPS][4] = {}, of_bias[GROUPS][4] = {};
  for (size_t p = first + warp; p < end; p += PER_BLOCK) {
    statistics s = kept[p];
    float normal[GROUPS][4] = {}, g[GROUPS][4] = {}, sum = 0, along = 0;
    PL_UNROLL
    for (int i = 0; i < GROUPS; i++) {
      size_t c = ((size_t)i * PL_WARP + lane) * 4;
      if (c >= channels) continue;
      pl_values<4> v = pl_read_values<4>(x, p * channels + c), w = pl_read_values<4>(gain, c),
                   d = pl_read_values<4>(dy, p * channels + c);
      for (int n = 0; n < 4; n++) {
        normal[i][n] = (v.at[n] - s.mean) * s.inverse;
        of_gain[i][n] += d.at[n] * normal[i][n];
        of_bias[i][n] += d.at[n];
        g[i][n] = d.at[n] * w.at[n];
        sum += g[i][n];
        along += g[i][n] * normal[i][n];
      }
    }
    float mean = pl_warp_sum(sum) / (float)channels, slope = pl_warp_sum(along) / (float)channels;
    PL_UNROLL
    for (int i = 0; i < GROUPS; i++) {
      size_t c = ((size_t)i * PL_WARP + lane) * 4;
      pl_values<4> v, before = {};
      if (add && c < channels) before = pl_read_values<4>(dx, p * channels + c);
      for (int n = 0; n < 4; n++)
        v.at[n] = s.inverse * (g[i][n] - mean - normal[i][n] * slope) + before.at[n];
      if (dx && c < channels) pl_write_values<4>(dx, p * channels + c, v);
    }
  }
  PL_UNROLL
  for (int i = 0; i < GROUPS; i++)
    for (int n = 0; n < 4; n++) {
      sums[warp][0][(i * PL_WARP + (int)lane) * 4 + n] = of_gain[i][n];
      sums[warp][1][(i * PL_WARP + (int)lane) * 4 + n] = of_bias[i][n];
    }
  __syncthreads();
  for (size_t c = threadIdx.x; c < channels; c += THREADS)
    for (int which = 0; which < 2; which++) {
      double sum = 0;
      for (int i = 0; i < PER_BLOCK; i++) sum += (double)sums[i][which][c];
      partial[(blockIdx.x * 2 + which) * channels + c] = sum;
    }
}

/* ---- backward in two passes, for what doesn't fit into registers or can't be read by fours ----
 */

template <int N, typename T>
__global__ void gradient_kernel(pl_cuda_layer_norm_shape shape, const float *gain,
                                const statistics *kept, const T *x, const T *dy, bool add, T *dx) {
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
                 w = pl_read_values<N>(gain, c), before = {};
    if (add) before = pl_read_values<N>(dx, c);
    for (int n = 0; n < N; n++) {
      float normal = (v.at[n] - s.mean) * s.inverse;
      v.at[n] = s.inverse * (d.at[n] * w.at[n] - mean - normal * slope) + before.at[n];
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
                    const statistics *kept, const T *x, const T *dy, bool add, T *dx) {
  size_t blocks = blocks_for(shape.positions);
  if (pl_fours_in(shape.channels, gain, x, dy, dx))
    PL_LAUNCH((gradient_kernel<4, T>), blocks, THREADS, stream, shape, gain, kept, x, dy, add, dx);
  else
    PL_LAUNCH((gradient_kernel<1, T>), blocks, THREADS, stream, shape, gain, kept, x, dy, add, dx);
}

enum { MOST_GROUPS = 8 };

template <typename T>
void one_pass(pl_stream stream, const pl_cuda_layer_norm_shape &shape, const float *gain,
              const statistics *kept, const T *x, const T *dy, double *partial,
              const store_line &result, bool add, T *dx) {
  size_t chunk = chunk_of(shape.positions), blocks = chunks_of(shape.positions);
  size_t groups = (shape.channels + PL_WARP * 4 - 1) / (PL_WARP * 4);
  if (groups <= 2)
    PL_LAUNCH((one_pass_kernel<2, T>), blocks, THREADS, stream, shape, chunk, gain, kept, x, dy,
              add, dx, partial);
  else if (groups <= 4)
    PL_LAUNCH((one_pass_kernel<4, T>), blocks, THREADS, stream, shape, chunk, gain, kept, x, dy,
              add, dx, partial);
  else if (groups <= 6)
    PL_LAUNCH((one_pass_kernel<6, T>), blocks, THREADS, stream, shape, chunk, gain, kept, x, dy,
              add, dx, partial);
  else
    PL_LAUNCH((one_pass_kernel<MOST_GROUPS, T>), blocks, THREADS, stream, shape, chunk, gain, kept,
              x, dy, add, dx, partial);
  pl_column_finish<2>(stream, result, partial, blocks, shape.channels);
}

template <typename T>
void backward(pl_stream stream, const pl_cuda_layer_norm_shape &shape, const float *gain,
              const statistics *kept, const void *x, const void *dy, double *partial, float *dgain,
              float *dbias, bool add, void *dx) {
  line_gradient<T> term = {(const T *)x, (const T *)dy, kept, shape.channels};
  store_line result = {dgain, dbias};
  if (shape.channels <= MOST_GROUPS * PL_WARP * 4 &&
      pl_fours_in(shape.channels, gain, term.x, term.dy, (T *)dx)) {
    one_pass(stream, shape, gain, kept, term.x, term.dy, partial, result, add, (T *)dx);
    return;
  }
  pl_column_sums<2>(stream, term, result, pl_fours_in(shape.channels, term.x, term.dy),
                    shape.positions, shape.channels, partial);
  if (dx) input_gradient(stream, shape, gain, kept, term.x, term.dy, add, (T *)dx);
}

}  // namespace

void pl_launch_layer_norm(pl_stream stream, const pl_cuda_layer_norm_shape *shape,
                          const float *gain, const float *bias, const void *x, void *y,
                          float *kept) {
  PL_BY_TYPE(shape->type, forward, stream, *shape, gain, bias, x, y, (statistics *)kept);
}

size_t pl_launch_layer_norm_partial(const pl_cuda_layer_norm_shape *shape) {
  size_t one = chunks_of(shape->positions);
  size_t two = pl_launch_column_chunks(shape->positions, shape->channels);
  return (one > two ? one : two) * 2 * shape->channels;
}

void pl_launch_layer_norm_gradient(pl_stream stream, const pl_cuda_layer_norm_shape *shape,
                                   const float *gain, const float *kept, const void *x,
                                   const void *dy, double *partial, float *dgain, float *dbias,
                                   bool add, void *dx) {
  PL_BY_TYPE(shape->type, backward, stream, *shape, gain, (const statistics *)kept, x, dy, partial,
             dgain, dbias, add, dx);
}
