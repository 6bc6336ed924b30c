/* Windows that stand side by side, each as a line of values in the order of a convolution's
 * weights: (in, kernel, kernel). A thread moves neighbours of a window's row, which are written
 * together; a block reads the pixels of few windows, once for each channel, from the nearest cache.
 */
#include "runtime/cuda/columns.h"

namespace {

enum { THREADS = 256 };

/* A pixel of an image and the place of its first channel in the windows' lines. */
struct place {
  size_t pixel, line;
};

/* Pixel (h, w) of window number `window`. */
__device__ inline place place_in(const pl_cuda_patches &p, size_t window, int h, int w) {
  size_t across = (size_t)p.out_width, down = (size_t)p.out_height, side = (size_t)p.side;
  size_t x = window % across * side + (size_t)w, y = window / across % down * side + (size_t)h;
  size_t row = window / (across * down), line = (size_t)p.channels * side * side;
  return {(row * (size_t)p.in_height + y) * (size_t)p.in_width + x,
          window * line + (size_t)h * side + (size_t)w};
}

template <int N, typename T>
__global__ void gather_kernel(pl_cuda_patches p, size_t elements, T *lines, const T *x) {
  size_t i = (blockIdx.x * (size_t)blockDim.x + threadIdx.x) * N;
  if (i >= elements) return;
  size_t area = (size_t)p.side * (size_t)p.side, channels = (size_t)p.channels;
  size_t channel = i / area % channels;
  int at = (int)(i % area);
  place from = place_in(p, i / (area * channels), at / p.side, at % p.side);
  pl_values<N> v;
  for (int n = 0; n < N; n++) v.at[n] = pl_read(x, (from.pixel + (size_t)n) * channels + channel);
  pl_write_values<N>(lines, i, v);
}

/* Pixels behind the last window get zeros. */
template <typename T>
__global__ void spread_kernel(pl_cuda_patches p, size_t elements, T *dx, const T *lines) {
  size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (i >= elements) return;
  size_t channels = (size_t)p.channels, pixel = i / channels, channel = i % channels;
  int w = (int)(pixel % (size_t)p.in_width);
  int h = (int)(pixel / (size_t)p.in_width % (size_t)p.in_height);
  int across = w / p.side, down = h / p.side;
  float value = 0;
  if (across < p.out_width && down < p.out_height) {
    size_t row = pixel / ((size_t)p.in_width * (size_t)p.in_height);
    size_t window = (row * (size_t)p.out_height + (size_t)down) * (size_t)p.out_width;
    place from = place_in(p, window + (size_t)across, h % p.side, w % p.side);
    value = pl_read(lines, from.line + channel * (size_t)p.side * (size_t)p.side);
  }
  pl_write(dx, i, value);
}

size_t blocks_for(size_t threads) { return (threads + THREADS - 1) / THREADS; }

template <typename T>
void gather(pl_stream stream, const pl_cuda_patches &p, void *to, const void *from) {
  T *lines = (T *)to;
  const T *x = (const T *)from;
  size_t elements = pl_cuda_patches_elements(&p);
  if (p.side % 4 == 0 && pl_fours(lines))
    PL_LAUNCH((gather_kernel<4, T>), blocks_for(elements / 4), THREADS, stream, p, elements, lines,
              x);
  else
    PL_LAUNCH((gather_kernel<1, T>), blocks_for(elements), THREADS, stream, p, elements, lines, x);
}

template <typename T>
void spread(pl_stream stream, const pl_cuda_patches &p, void *to, const void *lines) {
  size_t elements = (size_t)p.rows * (size_t)p.in_height * (size_t)p.in_width * (size_t)p.channels;
  PL_LAUNCH((spread_kernel<T>), blocks_for(elements), THREADS, stream, p, elements, (T *)to,
            (const T *)lines);
}

}  // namespace

void pl_launch_patches(pl_stream stream, const pl_cuda_patches *patches, const void *x,
                       void *lines) {
  PL_BY_TYPE(patches->type, gather, stream, *patches, lines, x);
}

void pl_launch_patches_gradient(pl_stream stream, const pl_cuda_patches *patches,
                                const void *dlines, void *dx) {
  PL_BY_TYPE(patches->type, spread, stream, *patches, dx, dlines);
}
