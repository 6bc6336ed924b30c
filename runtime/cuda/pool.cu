#include "runtime/cuda/columns.h"

namespace {

/* A thread has a place of the output, or in backward of the input, and a few channels. Backward
 * gathers from the windows that cover its place, in their order. */

enum { THREADS = 256 };

struct span {
  int first, end;
};

/* Inputs that window `o` covers along one side. */
__device__ inline span inputs_of(const pl_cuda_pool &pool, int o, int inputs) {
  int first = o * pool.stride - pool.pad, end = first + pool.kernel;
  return {first > 0 ? first : 0, end < inputs ? end : inputs};
}

/* Windows that cover input `i` along one side. */
__device__ inline span windows_of(const pl_cuda_pool &pool, int i, int outputs) {
  int from = i + pool.pad - pool.kernel + 1;
  int first = from > 0 ? (from + pool.stride - 1) / pool.stride : 0;
  int end = (i + pool.pad) / pool.stride + 1;
  return {first, end < outputs ? end : outputs};
}

/* What a thread works on: the place (row, h, w) of a map, channels from c on. */
struct place {
  size_t row;
  int h, w, c;
};

template <int N>
__device__ inline bool find_place(const pl_cuda_pool &pool, int height, int width, place *out) {
  size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x, several = pool.channels / N;
  size_t spot = i / several, line = spot / width;
  *out = {line / height, (int)(line % height), (int)(spot % width), (int)(i % several) * N};
  return out->row < (size_t)pool.rows;
}

/* Elements before (row, h, w). */
__device__ inline size_t offset_of(const pl_cuda_pool &pool, int height, int width, size_t row,
                                   int h, int w) {
  return ((row * height + h) * width + w) * pool.channels;
}

struct alignas(4) four_bytes {
  uint8_t at[4];
};

template <int N>
__device__ inline void write_bytes(uint8_t *to, size_t i, const int (&from)[N]) {
  if constexpr (N == 4)
    *reinterpret_cast<four_bytes *>(to + i) = {
        {(uint8_t)from[0], (uint8_t)from[1], (uint8_t)from[2], (uint8_t)from[3]}};
  else
    to[i] = (uint8_t)from[0];
}
template <int N>
__device__ inline void read_bytes(const uint8_t *from, size_t i, int (&to)[N]) {
  if constexpr (N == 4) {
    four_bytes v = *reinterpret_cast<const four_bytes *>(from + i);
    for (int n = 0; n < N; n++) to[n] = v.at[n];
  } else {
    to[0] = from[i];
  }
}

/* The first of equals; a NaN wins and stays. */
template <int N, typename T>
__global__ void max_kernel(pl_cuda_pool pool, const T *x, T *y, uint8_t *chosen) {
  place o;
  if (!find_place<N>(pool, pool.out_height, pool.out_width, &o)) return;
  span hs = inputs_of(pool, o.h, pool.in_height), ws = inputs_of(pool, o.w, pool.in_width);
  int top = o.h * pool.stride - pool.pad, left = o.w * pool.stride - pool.pad, best_at[N] = {};
  pl_values<N> best;
  for (int n = 0; n < N; n++) best.at[n] = -INFINITY;
  for (int h = hs.first; h < hs.end; h++)
    for (int w = ws.first; w < ws.end; w++) {
      size_t at = offset_of(pool, pool.in_height, pool.in_width, o.row, h, w) + o.c;
      pl_values<N> v = pl_read_values<N>(x, at);
      for (int n = 0; n < N; n++) {
        bool better = v.at[n] > best.at[n] || v.at[n] != v.at[n];
        best.at[n] = better ? v.at[n] : best.at[n];
        best_at[n] = better ? (h - top) * pool.kernel + w - left : best_at[n];
      }
    }
  size_t to = offset_of(pool, pool.out_height, pool.out_width, o.row, o.h, o.w) + o.c;
  pl_write_values<N>(y, to, best);
  if (chosen) write_bytes<N>(chosen, to, best_at);
}

template <int N, typename T>
__global__ void max_gradient_kernel(pl_cuda_pool pool, const T *dy, const uint8_t *chosen, T *dx) {
  place i;
  if (!find_place<N>(pool, pool.in_height, pool.in_width, &i)) return;
  span hs = windows_of(pool, i.h, pool.out_height), ws = windows_of(pool, i.w, pool.out_width);
  pl_values<N> sum = {};
  for (int oh = hs.first; oh < hs.end; oh++)
    for (int ow = ws.first; ow < ws.end; ow++) {
      size_t at = offset_of(pool, pool.out_height, pool.out_width, i.row, oh, ow) + i.c;
      int here =
          (i.h - oh * pool.stride + pool.pad) * pool.kernel + i.w - ow * pool.stride + pool.pad;
      int best_at[N];
      read_bytes<N>(chosen, at, best_at);
      pl_values<N> g = pl_read_values<N>(dy, at);
      for (int n = 0; n < N; n++) sum.at[n] += best_at[n] == here ? g.at[n] : 0;
    }
  pl_write_values<N>(dx, offset_of(pool, pool.in_height, pool.in_width, i.row, i.h, i.w) + i.c,
                     sum);
}

/* One over the inputs of a window, without padding. */
__device__ inline float share_of(span hs, span ws) {
  return 1.0F / (float)((hs.end - hs.first) * (ws.end - ws.first));
}

template <int N, typename T>
__global__ void avg_kernel(pl_cuda_pool pool, const T *x, T *y) {
  place o;
  if (!find_place<N>(pool, pool.out_height, pool.out_width, &o)) return;
  span hs = inputs_of(pool, o.h, pool.in_height), ws = inputs_of(pool, o.w, pool.in_width);
  pl_values<N> sum = {};
  for (int h = hs.first; h < hs.end; h++)
    for (int w = ws.first; w < ws.end; w++) {
      size_t at = offset_of(pool, pool.in_height, pool.in_width, o.row, h, w) + o.c;
      pl_values<N> v = pl_read_values<N>(x, at);
      for (int n = 0; n < N; n++) sum.at[n] += v.at[n];
    }
  for (int n = 0; n < N; n++) sum.at[n] *= share_of(hs, ws);
  pl_write_values<N>(y, offset_of(pool, pool.out_height, pool.out_width, o.row, o.h, o.w) + o.c,
                     sum);
}

template <int N, typename T>
__global__ void avg_gradient_kernel(pl_cuda_pool pool, const T *dy, T *dx) {
  place i;
  if (!find_place<N>(pool, pool.in_height, pool.in_width, &i)) return;
  span hs = windows_of(pool, i.h, pool.out_height), ws = windows_of(pool, i.w, pool.out_width);
  pl_values<N> sum = {};
  for (int oh = hs.first; oh < hs.end; oh++)
    for (int ow = ws.first; ow < ws.end; ow++) {
      float share =
          share_of(inputs_of(pool, oh, pool.in_height), inputs_of(pool, ow, pool.in_width));
      size_t at = offset_of(pool, pool.out_height, pool.out_width, i.row, oh, ow) + i.c;
      pl_values<N> g = pl_read_values<N>(dy, at);
      for (int n = 0; n < N; n++) sum.at[n] += g.at[n] * share;
    }
  pl_write_values<N>(dx, offset_of(pool, pool.in_height, pool.in_width, i.row, i.h, i.w) + i.c,
                     sum);
}

size_t blocks_of(const pl_cuda_pool &pool, int height, int width, int several) {
  size_t threads = (size_t)pool.rows * height * width * (pool.channels / several);
  return (threads + THREADS - 1) / THREADS;
}
size_t out_blocks(const pl_cuda_pool &pool, int several) {
  return blocks_of(pool, pool.out_height, pool.out_width, several);
}
size_t in_blocks(const pl_cuda_pool &pool, int several) {
  return blocks_of(pool, pool.in_height, pool.in_width, several);
}

bool bytes_by_fours(const uint8_t *bytes) {
  return reinterpret_cast<uintptr_t>(bytes) % sizeof(four_bytes) == 0;
}

template <typename T>
void max_typed(pl_stream stream, const pl_cuda_pool &pool, const void *from, void *to,
               uint8_t *chosen) {
  const T *x = (const T *)from;
  T *y = (T *)to;
  if (pl_fours_in(pool.channels, x, y) && bytes_by_fours(chosen))
    PL_LAUNCH((max_kernel<4, T>), out_blocks(pool, 4), THREADS, stream, pool, x, y, chosen);
  else
    PL_LAUNCH((max_kernel<1, T>), out_blocks(pool, 1), THREADS, stream, pool, x, y, chosen);
}

template <typename T>
void max_gradient_typed(pl_stream stream, const pl_cuda_pool &pool, const void *from,
                        const uint8_t *chosen, void *to) {
  const T *dy = (const T *)from;
  T *dx = (T *)to;
  if (pl_fours_in(pool.channels, dy, dx) && bytes_by_fours(chosen))
    PL_LAUNCH((max_gradient_kernel<4, T>), in_blocks(pool, 4), THREADS, stream, pool, dy, chosen,
              dx);
  else
    PL_LAUNCH((max_gradient_kernel<1, T>), in_blocks(pool, 1), THREADS, stream, pool, dy, chosen,
              dx);
}

template <typename T>
void avg_typed(pl_stream stream, const pl_cuda_pool &pool, const void *from, void *to) {
  const T *x = (const T *)from;
  T *y = (T *)to;
  if (pl_fours_in(pool.channels, x, y))
    PL_LAUNCH((avg_kernel<4, T>), out_blocks(pool, 4), THREADS, stream, pool, x, y);
  else
    PL_LAUNCH((avg_kernel<1, T>), out_blocks(pool, 1), THREADS, stream, pool, x, y);
}

template <typename T>
void avg_gradient_typed(pl_stream stream, const pl_cuda_pool &pool, const void *from, void *to) {
  const T *dy = (const T *)from;
  T *dx = (T *)to;
  if (pl_fours_in(pool.channels, dy, dx))
    PL_LAUNCH((avg_gradient_kernel<4, T>), in_blocks(pool, 4), THREADS, stream, pool, dy, dx);
  else
    PL_LAUNCH((avg_gradient_kernel<1, T>), in_blocks(pool, 1), THREADS, stream, pool, dy, dx);
}

}  // namespace

void pl_launch_max_pool(pl_stream stream, const pl_cuda_pool *pool, const void *x, void *y,
                        uint8_t *chosen) {
  PL_BY_TYPE(pool->type, max_typed, stream, *pool, x, y, chosen);
}

void pl_launch_max_pool_gradient(pl_stream stream, const pl_cuda_pool *pool, const void *dy,
                                 const uint8_t *chosen, void *dx) {
  PL_BY_TYPE(pool->type, max_gradient_typed, stream, *pool, dy, chosen, dx);
}

void pl_launch_avg_pool(pl_stream stream, const pl_cuda_pool *pool, const void *x, void *y) {
  PL_BY_TYPE(pool->type, avg_typed, stream, *pool, x, y);
}

void pl_launch_avg_pool_gradient(pl_stream stream, const pl_cuda_pool *pool, const void *dy,
                                 void *dx) {
  PL_BY_TYPE(pool->type, avg_gradient_typed, stream, *pool, dy, dx);
}
