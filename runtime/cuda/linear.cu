/* Sums of a matrix's columns, in two passes: each block adds a band of lines for one warp's width
 * of columns, then one thread a column adds the bands, from the first to the last. */
#include "runtime/cuda/code.h"

enum { WARPS = 8, BAND = 256, THREADS = 256 };

static size_t bands_of(size_t lines) { return (lines + BAND - 1) / BAND; }

size_t pl_column_sums_bytes(size_t lines, size_t columns) {
  return bands_of(lines) * columns * sizeof(float);
}

template <typename T>
static __global__ void add_bands(float *sums, const T *from, size_t lines, size_t columns,
                                 size_t groups) {
  PL_SHARED float part[WARPS][PL_WARP];
  size_t band = blockIdx.x / groups;
  unsigned warp = threadIdx.x / PL_WARP, lane = threadIdx.x % PL_WARP;
  size_t column = blockIdx.x % groups * PL_WARP + lane;
  size_t end = (band + 1) * BAND < lines ? (band + 1) * BAND : lines;
  float sum = 0;
  if (column < columns) {
    for (size_t line = band * BAND + warp; line < end; line += WARPS)
      sum += pl_read(from, line * columns + column);
  }
  part[warp][lane] = sum;
  __syncthreads();
  if (warp != 0 || column >= columns) return;
  for (int i = 1; i < WARPS; i++) sum += part[i][lane];
  sums[band * columns + column] = sum;
}

static __global__ void add_up(float *to, const float *sums, size_t bands, size_t columns) {
  size_t column = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (column >= columns) return;
  double sum = 0;
  for (size_t band = 0; band < bands; band++) sum += (double)sums[band * columns + column];
  to[column] = (float)sum;
}

template <typename T>
static void launch(pl_stream stream, float *to, const void *from, size_t lines, size_t columns,
                   float *sums) {
  size_t groups = (columns + PL_WARP - 1) / PL_WARP, bands = bands_of(lines);
  PL_LAUNCH(add_bands<T>, groups * bands, WARPS * PL_WARP, stream, sums, (const T *)from, lines,
            columns, groups);
  PL_LAUNCH(add_up, (columns + THREADS - 1) / THREADS, THREADS, stream, to, sums, bands, columns);
}

void pl_launch_column_sums(pl_stream stream, pl_dtype type, float *to, const void *from,
                           size_t lines, size_t columns, float *scratch) {
  PL_BY_TYPE(type, launch, stream, to, from, lines, columns, scratch);
}
