/* Weights of a convolution from one order of elements to the other. One thread moves one element,
 * in the order in which they are written; the reads of a warp lie within a few kilobytes. */
#include "runtime/cuda/code.h"

namespace {

enum { THREADS = 256 };

/* From (count, lines, columns) to (count, columns, lines). */
template <typename To, typename From>
__global__ void transpose(To *to, const From *from, size_t count, size_t lines, size_t columns) {
  size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (i >= count * lines * columns) return;
  size_t line = i % lines, column = i / lines % columns, matrix = i / (lines * columns);
  pl_write(to, i, pl_read(from, (matrix * lines + line) * columns + column));
}

size_t blocks_for(size_t n) { return (n + THREADS - 1) / THREADS; }

template <typename T>
void channels_last(pl_stream stream, void *to, const void *from, size_t out, size_t in,
                   size_t window) {
  PL_LAUNCH((transpose<T, T>), blocks_for(out * in * window), THREADS, stream, (T *)to,
            (const T *)from, out, in, window);
}

template <typename T>
void channels_first(pl_stream stream, float *to, const void *from, size_t out, size_t in,
                    size_t window) {
  PL_LAUNCH((transpose<float, T>), blocks_for(out * in * window), THREADS, stream, to,
            (const T *)from, out, window, in);
}

}  // namespace

void pl_launch_channels_last(pl_stream stream, pl_dtype type, void *to, const void *from,
                             size_t out, size_t in, size_t window) {
  PL_BY_TYPE(type, channels_last, stream, to, from, out, in, window);
}

void pl_launch_channels_first(pl_stream stream, pl_dtype type, float *to, const void *from,
                              size_t out, size_t in, size_t window) {
  PL_BY_TYPE(type, channels_first, stream, to, from, out, in, window);
}
