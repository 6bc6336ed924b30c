#include "runtime/cuda/code.h"

namespace {

enum { THREADS = 256 };

/* The position selected in a row, for all threads of the block: each warp finds it for itself. Ids
 * are compared with their positions behind them, so that of equal ids the first is the largest. */
__device__ inline size_t selected(const int32_t *ids, size_t length, size_t row) {
  if (!ids) return 0;
  long long best = -1 - 0x7FFFFFFFFFFFFFFF;
  for (size_t t = threadIdx.x % PL_WARP; t < length; t += PL_WARP) {
    long long id = ids[row * length + t];
    best = max(best, id * 0x100000000 + (long long)(0xFFFFFFFF - t));
  }
  for (int step = PL_WARP / 2; step > 0; step /= 2)
    best = max(best, __shfl_xor_sync(0xFFFFFFFFu, best, step));
  return 0xFFFFFFFF - (size_t)(best & 0xFFFFFFFF);
}

/* A block for each row; bits are moved in Units, `units` to a position. */
template <typename Unit>
__global__ void select_kernel(size_t length, size_t units, const int32_t *ids, const Unit *x,
                              Unit *y) {
  size_t row = blockIdx.x, from = (row * length + selected(ids, length, row)) * units;
  for (size_t i = threadIdx.x; i < units; i += blockDim.x) y[row * units + i] = x[from + i];
}

template <typename Unit>
__global__ void gradient_kernel(size_t length, size_t units, const int32_t *ids, const Unit *dy,
                                Unit *dx) {
  size_t row = blockIdx.x, first = selected(ids, length, row) * units;
  for (size_t i = threadIdx.x; i < length * units; i += blockDim.x) {
    bool inside = i >= first && i < first + units;
    dx[row * length * units + i] = inside ? dy[row * units + i - first] : 0;
  }
}

bool by_eights(size_t bytes, const void *a, const void *b) {
  return (bytes | reinterpret_cast<uintptr_t>(a) | reinterpret_cast<uintptr_t>(b)) % 8 == 0;
}

template <typename Unit>
void forward(pl_stream stream, size_t rows, size_t length, size_t bytes, const int32_t *ids,
             const void *x, void *y) {
  PL_LAUNCH((select_kernel<Unit>), rows, THREADS, stream, length, bytes / sizeof(Unit), ids,
            (const Unit *)x, (Unit *)y);
}

template <typename Unit>
void backward(pl_stream stream, size_t rows, size_t length, size_t bytes, const int32_t *ids,
              const void *dy, void *dx) {
  PL_LAUNCH((gradient_kernel<Unit>), rows, THREADS, stream, length, bytes / sizeof(Unit), ids,
            (const Unit *)dy, (Unit *)dx);
}

}  // namespace

void pl_launch_select(pl_stream stream, size_t rows, size_t length, size_t bytes,
                      const int32_t *ids, const void *x, void *y) {
  if (by_eights(bytes, x, y))
    forward<uint64_t>(stream, rows, length, bytes, ids, x, y);
  else
    forward<uint16_t>(stream, rows, length, bytes, ids, x, y);
}

void pl_launch_select_gradient(pl_stream stream, size_t rows, size_t length, size_t bytes,
                               const int32_t *ids, const void *dy, void *dx) {
  if (by_eights(bytes, dy, dx))
    backward<uint64_t>(stream, rows, length, bytes, ids, dy, dx);
  else
    backward<uint16_t>(stream, rows, length, bytes, ids, dy, dx);
}
