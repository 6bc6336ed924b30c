/* Windows of images, each as a line of values in the order of a convolution's weights: (in, kernel,
 * kernel). Gathering, a thread moves neighbours of a window's row, which are written together; a
 * block reads the pixels of few windows, once for each channel, from the nearest cache. The way
 * back, a thread adds up what the windows over an element have for it. */
#include "runtime/cuda/columns.h"

namespace {

enum { THREADS = 256 };

/* Sizes as the threads use them. */
struct sizes {
  size_t channels, area, across, down; /* across, down: windows of an image */
};

__device__ inline sizes sizes_of(const pl_cuda_windows &w) {
  return {(size_t)w.channels, (size_t)w.kernel * (size_t)w.kernel, (size_t)w.out_width,
          (size_t)w.out_height};
}

/* Pixels beside the image are zero. */
template <int N, typename T>
__global__ void gather_kernel(pl_cuda_windows w, size_t elements, T *lines, const T *x) {
  size_t i = (blockIdx.x * (size_t)blockDim.x + threadIdx.x) * N;
  if (i >= elements) return;
  sizes s = sizes_of(w);
  size_t channel = i / s.area % s.channels, window = i / (s.area * s.channels);
  int at = (int)(i % s.area);
  int row = (int)(window / s.across % s.down) * w.stride + at / w.kernel - w.pad;
  int column = (int)(window % s.across) * w.stride + at % w.kernel - w.pad;
  size_t image = window / (s.across * s.down) * (size_t)w.in_height;
  bool there = row >= 0 && row < w.in_height;
  pl_values<N> v;
  for (int n = 0; n < N; n++, column++) {
    bool inside = there && column >= 0 && column < w.in_width;
    size_t pixel = (image + (size_t)row) * (size_t)w.in_width + (size_t)column;
    v.at[n] = inside ? pl_read(x, pixel * s.channels + channel) : 0;
  }
  pl_write_values<N>(lines, i, v);
}

/* The windows that a pixel at `at` of a padded side belongs to: from `first` up to `end`. */
struct span {
  int first, end;
};
__device__ inline span windows_over(const pl_cuda_windows &w, int at, int windows) {
  int last = at / w.stride;
  return {at < w.kernel ? 0 : (at - w.kernel) / w.stride + 1, last < windows ? last + 1 : windows};
}

/* Windows are added from top to bottom and from left to right; pixels that are in none get zero. */
template <typename T>
__global__ void spread_kernel(pl_cuda_windows w, size_t elements, T *dx, const T *lines) {
  size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (i >= elements) return;
  sizes s = sizes_of(w);
  size_t channel = i % s.channels, pixel = i / s.channels;
  int column = (int)(pixel % (size_t)w.in_width) + w.pad;
  int row = (int)(pixel / (size_t)w.in_width % (size_t)w.in_height) + w.pad;
  size_t image = pixel / ((size_t)w.in_width * (size_t)w.in_height);
  span down = windows_over(w, row, w.out_height), across = windows_over(w, column, w.out_width);
  float sum = 0;
  for (int y = down.first; y < down.end; y++)
    for (int x = across.first; x < across.end; x++) {
      size_t window = (image * s.down + (size_t)y) * s.across + (size_t)x;
      int at = (row - y * w.stride) * w.kernel + column - x * w.stride;
      sum += pl_read(lines, (window * s.channels + channel) * s.area + (size_t)at);
    }
  pl_write(dx, i, sum);
}

size_t blocks_for(size_t threads) { return (threads + THREADS - 1) / THREADS; }

template <typename T>
void gather(pl_stream stream, const pl_cuda_windows &w, void *to, const void *from) {
  T *lines = (T *)to;
  const T *x = (const T *)from;
  size_t elements = pl_cuda_windows_elements(&w);
  if (w.kernel % 4 == 0 && pl_fours(lines))
    PL_LAUNCH((gather_kernel<4, T>), blocks_for(elements / 4), THREADS, stream, w, elements, lines,
              x);
  else
    PL_LAUNCH((gather_kernel<1, T>), blocks_for(elements), THREADS, stream, w, elements, lines, x);
}

template <typename T>
void spread(pl_stream stream, const pl_cuda_windows &w, void *to, const void *lines) {
  size_t elements = (size_t)w.rows * (size_t)w.in_height * (size_t)w.in_width * (size_t)w.channels;
  PL_LAUNCH((spread_kernel<T>), blocks_for(elements), THREADS, stream, w, elements, (T *)to,
            (const T *)lines);
}

}  // namespace

void pl_launch_windows(pl_stream stream, const pl_cuda_windows *windows, const void *x,
                       void *lines) {
  PL_BY_TYPE(windows->type, gather, stream, *windows, lines, x);
}

void pl_launch_windows_gradient(pl_stream stream, const pl_cuda_windows *windows,
                                const void *dlines, void *dx) {
  PL_BY_TYPE(windows->type, spread, stream, *windows, dx, dlines);
}
