#include "runtime/cuda/columns.h"

namespace {

/* Of one thread's columns. */
template <int N>
struct norm_line {
  pl_values<N> mean, inverse, scale, bias;
};

template <int N>
__device__ inline norm_line<N> line_of(const pl_cuda_norm &norm, size_t c) {
  norm_line<N> line = {pl_read_values<N>(norm.mean, c), pl_read_values<N>(norm.inverse, c),
                       pl_read_values<N>(norm.gain, c), pl_read_values<N>(norm.bias, c)};
  for (int n = 0; n < N; n++) line.scale.at[n] *= line.inverse.at[n];
  return line;
}

/* One rounding, wherever it is worked out: backward finds the same sign as forward. */
__device__ inline float normal(float centred, float scale, float bias) {
  return __fmaf_rn(centred, scale, bias);
}

/* What tells where the relu let pass. */
enum mask { NO_RELU, MASK_FROM_X, MASK_FROM_Y };

/* The gradient of the sum before the relu; x becomes x - mean. */
template <mask MASK, int N, typename Out>
__device__ inline pl_values<N> masked(const norm_line<N> &line, const Out *y, const Out *dy,
                                      size_t at, pl_values<N> &x) {
  pl_values<N> g = pl_read_values<N>(dy, at), out = {};
  if (MASK == MASK_FROM_Y) out = pl_read_values<N>(y, at);
  for (int n = 0; n < N; n++) {
    x.at[n] -= line.mean.at[n];
    if (MASK == MASK_FROM_X) out.at[n] = normal(x.at[n], line.scale.at[n], line.bias.at[n]);
    if (MASK != NO_RELU) g.at[n] = out.at[n] > 0 ? g.at[n] : 0;
  }
  return g;
}

template <typename In>
struct value_and_square {
  const In *x;
  size_t channels;
  template <int N>
  __device__ void add(size_t position, size_t c, float (&sum)[2][N]) const {
    pl_values<N> v = pl_read_values<N>(x, position * channels + c);
    for (int n = 0; n < N; n++) {
      sum[0][n] += v.at[n];
      sum[1][n] += v.at[n] * v.at[n];
    }
  }
};

struct store_sums {
  double *sums;
  size_t channels;
  __device__ void store(size_t c, const double (&sum)[2]) const {
    sums[c] = sum[0];
    sums[channels + c] = sum[1];
  }
};

template <mask MASK, typename In, typename Out>
struct gradient_and_product {
  pl_cuda_norm norm;
  const In *x;
  const Out *y, *dy;
};

/* The same for the columns of a thread. */
template <mask MASK, int N, typename In, typename Out>
struct gradient_and_product_of {
  gradient_and_product<MASK, In, Out> all;
  norm_line<N> line;
  template <int>
  __device__ void add(size_t position, size_t c, float (&sum)[2][N]) const {
    size_t at = position * all.norm.channels + c;
    pl_values<N> v = pl_read_values<N>(all.x, at);
    pl_values<N> g = masked<MASK>(line, all.y, all.dy, at, v);
    for (int n = 0; n < N; n++) {
      sum[0][n] += g.at[n];
      sum[1][n] += g.at[n] * v.at[n];
    }
  }
};

template <int N, mask MASK, typename In, typename Out>
__device__ inline gradient_and_product_of<MASK, N, In, Out> pl_for_columns(
    const gradient_and_product<MASK, In, Out> &all, size_t column) {
  return {all, line_of<N>(all.norm, column)};
}

struct store_gradients {
  double *sums;
  const float *inverse;
  float *dgain, *dbias;
  size_t channels;
  __device__ void store(size_t c, const double (&sum)[2]) const {
    double product = sum[1] * (double)inverse[c];
    sums[c] = sum[0];
    sums[channels + c] = product;
    dbias[c] = (float)sum[0];
    dgain[c] = (float)product;
  }
};

/* A thread reads some positions before it writes any, so that enough is on its way from memory. */
enum { THREADS = 256, BLOCKS_AT_ONCE = 4, APPLY_BLOCKS = 4096 };
enum { APPLY_POSITIONS = 4, GRADIENT_POSITIONS = 2 };

size_t blocks_for(size_t threads) { return (threads + THREADS - 1) / THREADS; }

__global__ void statistics_kernel(size_t channels, const double *totals, double count,
                                  float epsilon, float *mean, float *inverse) {
  size_t c = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (c >= channels) return;
  double middle = totals[c] / count;
  double variance = totals[channels + c] / count - middle * middle;
  if (variance < 0) variance = 0; /* rounding; a NaN stays */
  mean[c] = (float)middle;
  inverse[c] = (float)(1 / sqrt(variance + (double)epsilon));
}

__global__ void invert_kernel(size_t channels, float epsilon, float *variance) {
  size_t c = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (c < channels) variance[c] = (float)(1 / sqrt((double)variance[c] + (double)epsilon));
}

/* A thread's position `i` from p on; behind its last one p again, which may be read for nothing. */
__device__ inline size_t position_at(const pl_column_place &place, size_t p, int i) {
  size_t position = p + (size_t)i * place.step;
  return position < place.end ? position : p;
}

template <int N, typename In, typename Out>
__global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE)
    apply_kernel(pl_cuda_norm norm, pl_column_grid grid, const In *__restrict__ x,
                 const In *__restrict__ skip, Out *__restrict__ y) {
  pl_column_place place = pl_place<N>(grid);
  if (place.first >= place.end) return;
  norm_line<N> line = line_of<N>(norm, place.column);
  for (size_t p = place.first; p < place.end; p += APPLY_POSITIONS * place.step) {
    pl_values<N> v[APPLY_POSITIONS], other[APPLY_POSITIONS] = {};
    PL_UNROLL
    for (int i = 0; i < APPLY_POSITIONS; i++) {
      size_t at = position_at(place, p, i) * norm.channels + place.column;
      v[i] = pl_read_values<N>(x, at);
      if (norm.add) other[i] = pl_read_values<N>(skip, at);
    }
    PL_UNROLL
    for (int i = 0; i < APPLY_POSITIONS && p + (size_t)i * place.step < place.end; i++) {
      for (int n = 0; n < N; n++) {
        float value = normal(v[i].at[n] - line.mean.at[n], line.scale.at[n], line.bias.at[n]) +
                      other[i].at[n];
        v[i].at[n] = norm.relu && value < 0 ? 0 : value; /* keeps a NaN */
      }
      pl_write_values<N>(y, position_at(place, p, i) * norm.channels + place.column, v[i]);
    }
  }
}

/* dx = gain / σ · (g - Σg / n - x̂ Σ(g x̂) / n), with n elements in the scope; by_count: 1 / n. */
template <mask MASK, int N, typename In, typename Out>
__global__ void __launch_bounds__(THREADS, BLOCKS_AT_ONCE)
    gradient_kernel(pl_cuda_norm norm, pl_column_grid grid, const double *totals, double by_count,
                    const In *__restrict__ x, const Out *__restrict__ y, const Out *__restrict__ dy,
                    In *__restrict__ dx, In *__restrict__ dskip) {
  pl_column_place place = pl_place<N>(grid);
  if (place.first >= place.end) return;
  norm_line<N> line = line_of<N>(norm, place.column);
  float offset[N], slope[N];
  for (int n = 0; n < N; n++) {
    double share = (double)line.scale.at[n] * by_count;
    double product = totals[norm.channels + place.column + n] * (double)line.inverse.at[n];
    offset[n] = (float)(share * totals[place.column + n]);
    slope[n] = (float)(share * product);
  }
  for (size_t p = place.first; p < place.end; p += GRADIENT_POSITIONS * place.step) {
    pl_values<N> v[GRADIENT_POSITIONS], g[GRADIENT_POSITIONS];
    PL_UNROLL
    for (int i = 0; i < GRADIENT_POSITIONS; i++) {
      size_t at = position_at(place, p, i) * norm.channels + place.column;
      v[i] = pl_read_values<N>(x, at);
      g[i] = masked<MASK>(line, y, dy, at, v[i]);
    }
    PL_UNROLL
    for (int i = 0; i < GRADIENT_POSITIONS && p + (size_t)i * place.step < place.end; i++) {
      size_t at = position_at(place, p, i) * norm.channels + place.column;
      if (dskip) pl_write_values<N>(dskip, at, g[i]);
      if (!dx) continue;
      for (int n = 0; n < N; n++)
        v[i].at[n] = line.scale.at[n] * g[i].at[n] - offset[n] - slope[n] * v[i].at[n];
      pl_write_values<N>(dx, at, v[i]);
    }
  }
}

template <int N>
pl_column_grid apply_grid(const pl_cuda_norm &norm) {
  pl_column_grid one = pl_column_grid_of<N>(norm.positions, norm.channels, 1);
  size_t rows = THREADS / one.width, most = APPLY_BLOCKS / one.tiles;
  size_t chunks = (norm.positions + rows * APPLY_POSITIONS - 1) / (rows * APPLY_POSITIONS);
  if (chunks > most) chunks = most;
  return pl_column_grid_of<N>(norm.positions, norm.channels, chunks > 0 ? chunks : 1);
}

bool lines_by_fours(const pl_cuda_norm &norm) {
  return pl_fours_in(norm.channels, norm.gain, norm.bias, norm.mean, norm.inverse);
}

template <typename In>
void sums_typed(pl_stream stream, const pl_cuda_norm &norm, const void *x, double *partial,
                double *sums) {
  value_and_square<In> term = {(const In *)x, norm.channels};
  store_sums result = {sums, norm.channels};
  pl_column_sums<2>(stream, term, result, pl_fours_in(norm.channels, term.x), norm.positions,
                    norm.channels, partial);
}

template <typename In, typename Out>
void apply_typed(pl_stream stream, const pl_cuda_norm &norm, const In *x, const In *skip, Out *y) {
  if (lines_by_fours(norm) && pl_fours_in(norm.channels, x, skip) && pl_fours(y)) {
    pl_column_grid grid = apply_grid<4>(norm);
    PL_LAUNCH((apply_kernel<4, In, Out>), grid.tiles * grid.chunks, THREADS, stream, norm, grid, x,
              skip, y);
  } else {
    pl_column_grid grid = apply_grid<1>(norm);
    PL_LAUNCH((apply_kernel<1, In, Out>), grid.tiles * grid.chunks, THREADS, stream, norm, grid, x,
              skip, y);
  }
}

template <typename In, typename Out>
void apply_any(pl_stream stream, const pl_cuda_norm &norm, const void *x, const void *skip,
               void *y) {
  apply_typed(stream, norm, (const In *)x, (const In *)skip, (Out *)y);
}

/* Arguments of the launches of backward. */
struct backward_args {
  const void *x, *y, *dy;
  double *partial, *sums; /* sums */
  float *dgain, *dbias;
  const double *totals; /* gradient */
  double count;
  void *dx, *dskip;
};

template <mask MASK, typename In, typename Out>
void sum_masked(pl_stream stream, const pl_cuda_norm &norm, const backward_args &args) {
  gradient_and_product<MASK, In, Out> term = {norm, (const In *)args.x, (const Out *)args.y,
                                              (const Out *)args.dy};
  store_gradients result = {args.sums, norm.inverse, args.dgain, args.dbias, norm.channels};
  bool fours = lines_by_fours(norm) && pl_fours_in(norm.channels, term.x, term.y, term.dy);
  pl_column_sums<2>(stream, term, result, fours, norm.positions, norm.channels, args.partial);
}

template <mask MASK, typename In, typename Out>
void apply_masked(pl_stream stream, const pl_cuda_norm &norm, const backward_args &args) {
  const In *x = (const In *)args.x;
  const Out *y = (const Out *)args.y, *dy = (const Out *)args.dy;
  In *dx = (In *)args.dx, *dskip = (In *)args.dskip;
  if (lines_by_fours(norm) && pl_fours_in(norm.channels, x, y, dy, dx, dskip)) {
    pl_column_grid grid = apply_grid<4>(norm);
    PL_LAUNCH((gradient_kernel<MASK, 4, In, Out>), grid.tiles * grid.chunks, THREADS, stream, norm,
              grid, args.totals, 1 / args.count, x, y, dy, dx, dskip);
  } else {
    pl_column_grid grid = apply_grid<1>(norm);
    PL_LAUNCH((gradient_kernel<MASK, 1, In, Out>), grid.tiles * grid.chunks, THREADS, stream, norm,
              grid, args.totals, 1 / args.count, x, y, dy, dx, dskip);
  }
}

template <mask MASK, typename In, typename Out>
void backward_masked(pl_stream stream, const pl_cuda_norm &norm, const backward_args &args) {
  if (args.sums)
    sum_masked<MASK, In, Out>(stream, norm, args);
  else
    apply_masked<MASK, In, Out>(stream, norm, args);
}

template <typename In, typename Out>
void backward(pl_stream stream, const pl_cuda_norm &norm, const backward_args &args) {
  if (!norm.relu)
    backward_masked<NO_RELU, In, Out>(stream, norm, args);
  else if (norm.add)
    backward_masked<MASK_FROM_Y, In, Out>(stream, norm, args);
  else
    backward_masked<MASK_FROM_X, In, Out>(stream, norm, args);
}

}  // namespace

void pl_launch_norm_sums(pl_stream stream, const pl_cuda_norm *norm, const void *x, double *partial,
                         double *sums) {
  PL_BY_TYPE(norm->in_type, sums_typed, stream, *norm, x, partial, sums);
}

void pl_launch_norm_statistics(pl_stream stream, size_t channels, const double *totals,
                               double count, float epsilon, float *mean, float *inverse) {
  PL_LAUNCH(statistics_kernel, blocks_for(channels), THREADS, stream, channels, totals, count,
            epsilon, mean, inverse);
}

void pl_launch_norm_invert(pl_stream stream, size_t channels, float epsilon, float *variance) {
  PL_LAUNCH(invert_kernel, blocks_for(channels), THREADS, stream, channels, epsilon, variance);
}

void pl_launch_norm_apply(pl_stream stream, const pl_cuda_norm *norm, const void *x,
                          const void *skip, void *y) {
  PL_BY_TYPES(norm->in_type, norm->out_type, apply_any, stream, *norm, x, skip, y);
}

void pl_launch_norm_gradient_sums(pl_stream stream, const pl_cuda_norm *norm, const void *x,
                                  const void *y, const void *dy, double *partial, double *sums,
                                  float *dgain, float *dbias) {
  backward_args args = {x, y, dy, partial, sums, dgain, dbias, NULL, 0, NULL, NULL};
  PL_BY_TYPES(norm->in_type, norm->out_type, backward, stream, *norm, args);
}

void pl_launch_norm_gradient(pl_stream stream, const pl_cuda_norm *norm, const double *totals,
                             double count, const void *x, const void *y, const void *dy, void *dx,
                             void *dskip) {
  backward_args args = {x, y, dy, NULL, NULL, NULL, NULL, totals, count, dx, dskip};
  PL_BY_TYPES(norm->in_type, norm->out_type, backward, stream, *norm, args);
}
