#include "runtime/cuda/columns.h"

namespace {

enum { THREADS = 256 };

/* An element of y, the first of a few: that of its row, and of the places in front of x. */
struct element {
  size_t row, at, front;
};

template <int N>
__device__ inline bool find_element(const pl_cuda_positions_shape &shape, element *out) {
  size_t i = (blockIdx.x * (size_t)blockDim.x + threadIdx.x) * N;
  size_t width = shape.length * shape.channels;
  *out = {i / width, i % width, shape.first * shape.channels};
  return out->row < shape.rows;
}

/* Where it comes from in x; not for those in front. */
__device__ inline size_t x_at(const pl_cuda_positions_shape &shape, const element &e) {
  return e.row * (shape.length * shape.channels - e.front) + e.at - e.front;
}

template <int N, typename T>
__global__ void forward_kernel(pl_cuda_positions_shape shape, const T *x, const T *place,
                               const float *class_token, T *y) {
  element e;
  if (!find_element<N>(shape, &e)) return;
  pl_values<N> v =
      e.at < e.front ? pl_read_values<N>(class_token, e.at) : pl_read_values<N>(x, x_at(shape, e));
  pl_values<N> p = pl_read_values<N>(place, e.at);
  for (int n = 0; n < N; n++) v.at[n] += p.at[n];
  pl_write_values<N>(y, e.row * shape.length * shape.channels + e.at, v);
}

/* dx: dy without the places in front. */
template <int N, typename T>
__global__ void copy_kernel(pl_cuda_positions_shape shape, const T *dy, T *dx) {
  element e;
  if (!find_element<N>(shape, &e) || e.at < e.front) return;
  pl_write_values<N>(dx, x_at(shape, e),
                     pl_read_values<N>(dy, e.row * shape.length * shape.channels + e.at));
}

/* Rows are what is summed over; all places side by side are the columns. */
template <typename T>
struct gradient_of_row {
  const T *dy;
  size_t width;
  template <int N>
  __device__ void add(size_t row, size_t column, float (&sum)[1][N]) const {
    pl_values<N> g = pl_read_values<N>(dy, row * width + column);
    for (int n = 0; n < N; n++) sum[0][n] += g.at[n];
  }
};

struct store_places {
  float *dplace, *dclass;
  size_t front;
  __device__ void store(size_t column, const double (&sum)[1]) const {
    dplace[column] = (float)sum[0];
    if (column < front) dclass[column] = (float)sum[0];
  }
};

size_t blocks_of(const pl_cuda_positions_shape &shape, int several) {
  size_t threads = shape.rows * shape.length * shape.channels / several;
  return (threads + THREADS - 1) / THREADS;
}

template <typename T>
void forward(pl_stream stream, const pl_cuda_positions_shape &shape, const void *from,
             const void *places, const float *class_token, void *to) {
  const T *x = (const T *)from, *place = (const T *)places;
  T *y = (T *)to;
  if (pl_fours_in(shape.channels, x, place, class_token, y))
    PL_LAUNCH((forward_kernel<4, T>), blocks_of(shape, 4), THREADS, stream, shape, x, place,
              class_token, y);
  else
    PL_LAUNCH((forward_kernel<1, T>), blocks_of(shape, 1), THREADS, stream, shape, x, place,
              class_token, y);
}

template <typename T>
void copy(pl_stream stream, const pl_cuda_positions_shape &shape, const T *dy, T *dx) {
  if (pl_fours_in(shape.channels, dy, dx))
    PL_LAUNCH((copy_kernel<4, T>), blocks_of(shape, 4), THREADS, stream, shape, dy, dx);
  else
    PL_LAUNCH((copy_kernel<1, T>), blocks_of(shape, 1), THREADS, stream, shape, dy, dx);
}

template <typename T>
void backward(pl_stream stream, const pl_cuda_positions_shape &shape, const void *from,
              double *partial, float *dplace, float *dclass, void *dx) {
  size_t width = shape.length * shape.channels;
  gradient_of_row<T> term = {(const T *)from, width};
  store_places result = {dplace, dclass, shape.first * shape.channels};
  pl_column_sums<1>(stream, term, result, pl_fours_in(width, term.dy), shape.rows, width, partial);
  if (dx) copy(stream, shape, term.dy, (T *)dx);
}

}  // namespace

void pl_launch_positions(pl_stream stream, const pl_cuda_positions_shape *shape, const void *x,
                         const void *place, const float *class_token, void *y) {
  PL_BY_TYPE(shape->type, forward, stream, *shape, x, place, class_token, y);
}

void pl_launch_positions_gradient(pl_stream stream, const pl_cuda_positions_shape *shape,
                                  const void *dy, double *partial, float *dplace, float *dclass,
                                  void *dx) {
  PL_BY_TYPE(shape->type, backward, stream, *shape, dy, partial, dplace, dclass, dx);
}
