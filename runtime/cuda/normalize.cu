#include "runtime/cuda/code.h"

namespace {

enum { THREADS = 128, ROWS = THREADS / PL_WARP }; /* a warp for each row of a block */

template <typename A, typename B>
__device__ inline double dot(const A *a, const B *b, size_t n, unsigned lane) {
  double sum = 0;
  for (size_t i = lane; i < n; i += PL_WARP) sum += (double)pl_read(a, i) * (double)pl_read(b, i);
  return pl_warp_sum(sum);
}

/* y = x / max(‖x‖, epsilon). */
template <typename In, typename Out>
__global__ void normalize_kernel(size_t rows, size_t features, float epsilon, const In *x, Out *y) {
  size_t row = blockIdx.x * (size_t)ROWS + threadIdx.x / PL_WARP;
  unsigned lane = threadIdx.x % PL_WARP;
  if (row >= rows) return;
  x += row * features;
  y += row * features;
  double length = sqrt(dot(x, x, features, lane));
  float scale = (float)(1 / (length < (double)epsilon ? (double)epsilon : length));
  for (size_t i = lane; i < features; i += PL_WARP) pl_write(y, i, pl_read(x, i) * scale);
}

/* dx = (dy - x (x·dy) / ‖x‖²) / ‖x‖; where the length is held at epsilon, dx = dy / epsilon. */
template <typename In, typename Out>
__global__ void gradient_kernel(size_t rows, size_t features, float epsilon, const In *x,
                                const Out *dy, In *dx) {
  size_t row = blockIdx.x * (size_t)ROWS + threadIdx.x / PL_WARP;
  unsigned lane = threadIdx.x % PL_WARP;
  if (row >= rows) return;
  x += row * features;
  dy += row * features;
  dx += row * features;
  double square = dot(x, x, features, lane), length = sqrt(square);
  bool held = length < (double)epsilon;
  float scale = (float)(1 / (held ? (double)epsilon : length));
  double product = dot(x, dy, features, lane);
  float along = held ? 0 : (float)(product / square);
  for (size_t i = lane; i < features; i += PL_WARP)
    pl_write(dx, i, (pl_read(dy, i) - pl_read(x, i) * along) * scale);
}

size_t blocks_for(size_t rows) { return (rows + ROWS - 1) / ROWS; }

template <typename In, typename Out>
void forward(pl_stream stream, size_t rows, size_t features, float epsilon, const void *x,
             void *y) {
  PL_LAUNCH((normalize_kernel<In, Out>), blocks_for(rows), THREADS, stream, rows, features, epsilon,
            (const In *)x, (Out *)y);
}

template <typename In, typename Out>
void backward(pl_stream stream, size_t rows, size_t features, float epsilon, const void *x,
              const void *dy, void *dx) {
  PL_LAUNCH((gradient_kernel<In, Out>), blocks_for(rows), THREADS, stream, rows, features, epsilon,
            (const In *)x, (const Out *)dy, (In *)dx);
}

}  // namespace

void pl_launch_normalize(pl_stream stream, pl_dtype in_type, pl_dtype out_type, size_t rows,
                         size_t features, float epsilon, const void *x, void *y) {
  PL_BY_TYPES(in_type, out_type, forward, stream, rows, features, epsilon, x, y);
}

void pl_launch_normalize_gradient(pl_stream stream, pl_dtype in_type, pl_dtype out_type,
                                  size_t rows, size_t features, float epsilon, const void *x,
                                  const void *dy, void *dx) {
  PL_BY_TYPES(in_type, out_type, backward, stream, rows, features, epsilon, x, dy, dx);
}
