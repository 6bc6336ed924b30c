/* The two kernels that every pairwise loss is made of: one walks over the rows of a tile and adds
 * to their states, one turns similarities into weights. A loss is a struct that is handed to them;
 * what it has to have stands before each.
 *
 * Sums are made in an order that depends on the tile's shape only. */
#ifndef LOSSES_CUDA_ROWS_H
#define LOSSES_CUDA_ROWS_H

#include <math.h>

#include "losses/cuda/code.h"
#include "runtime/cuda/code.h"

/* Where the global row of a tile's first row is among its columns, counted from the tile's first
 * column: then row i of the tile is at offset + i. Rows beyond all columns come out as beyond. */
inline int pl_tile_offset(const pl_pair_tile *tile) {
  const int64_t far = 1 << 29, offset = tile->first_row - tile->first_col;
  return (int)(offset > far ? far : offset < -far ? -far : offset);
}

/* ---- sweep 1 ----
 *
 * What a row's columns come to: SUMS sums, which may be relative to the largest similarity. A loss
 * for this sweep has
 *   state                                   the type of a row's running state,
 *   enum { SUMS },
 *   bool skips(int i, int j) const          whether row i leaves column j out,
 *   float top(const state &) const          the largest similarity of the columns before,
 *   void raise(part &, float top) const     a new largest similarity, not below the one so far,
 *   void add<N>(part &, const float (&s)[N]) const
 *                                           N similarities, -infinity for what is to be left out,
 *   void merge(state &, const part &, int i, const float *s, int cols) const
 *                                           the state after this tile, s being row i of it. */
template <int SUMS>
struct pl_row_part {
  float top;
  float sum[SUMS];
};

/* A row is read by a block, each thread so many elements at a time; where rows are long there are
 * few of them, and at least so many blocks find room side by side. */
enum { PL_ROW_GROUP = 16, PL_ROW_THREADS = 512, PL_ROW_BLOCKS = 2 };

inline unsigned pl_row_threads(int cols) {
  unsigned threads = PL_WARP;
  while (threads < PL_ROW_THREADS && threads * PL_ROW_GROUP < (unsigned)cols) threads *= 2;
  return threads;
}

/* In every thread of the block. */
__device__ inline float pl_block_largest(float value) {
  PL_SHARED float of_warp[PL_ROW_THREADS / PL_WARP];
  for (int step = PL_WARP / 2; step > 0; step /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, step));
  if (blockDim.x == PL_WARP) return value;
  unsigned lane = threadIdx.x % PL_WARP;
  if (lane == 0) of_warp[threadIdx.x / PL_WARP] = value;
  __syncthreads();
  value = lane < blockDim.x / PL_WARP ? of_warp[lane] : value;
  for (int step = PL_WARP / 2; step > 0; step /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, step));
  return value;
}

/* In the first warp of the block. */
template <int SUMS>
__device__ inline void pl_block_sums(float (&sum)[SUMS]) {
  PL_SHARED float of_warp[SUMS][PL_ROW_THREADS / PL_WARP];
  unsigned lane = threadIdx.x % PL_WARP;
  for (int k = 0; k < SUMS; k++) sum[k] = pl_warp_sum(sum[k]);
  if (blockDim.x == PL_WARP) return;
  for (int k = 0; k < SUMS; k++)
    if (lane == 0) of_warp[k][threadIdx.x / PL_WARP] = sum[k];
  __syncthreads();
  if (threadIdx.x >= PL_WARP) return;
  for (int k = 0; k < SUMS; k++)
    sum[k] = pl_warp_sum(lane < blockDim.x / PL_WARP ? of_warp[k][lane] : 0.0f);
}

/* What a thread adds at once, fours that lie a block apart: all is read before it is used. */
template <typename Loss>
__device__ inline void pl_read_group(const Loss &loss, const float *row, int i, int first, int cols,
                                     float (&s)[PL_ROW_GROUP]) {
  const int step = 4 * (int)blockDim.x, from = first + 4 * (int)threadIdx.x;
  for (int k = 0; k < PL_ROW_GROUP; k += 4) {
    int j = from + k / 4 * step;
    float4 v = make_float4(0, 0, 0, 0);
    if (j < cols) v = pl_read4(row, (size_t)j);
    s[k] = v.x;
    s[k + 1] = v.y;
    s[k + 2] = v.z;
    s[k + 3] = v.w;
  }
  for (int k = 0; k < PL_ROW_GROUP; k++) {
    int j = from + k / 4 * step + k % 4;
    if (j >= cols || loss.skips(i, j)) s[k] = -INFINITY;
  }
}

template <typename Loss>
__global__ void __launch_bounds__(PL_ROW_THREADS, PL_ROW_BLOCKS)
    pl_gather_kernel(Loss loss, const float *tile, int64_t stride, int cols,
                     typename Loss::state *states) {
  const int i = (int)blockIdx.x, group = PL_ROW_GROUP * (int)blockDim.x;
  const float *row = tile + i * stride;
  pl_row_part<Loss::SUMS> part = {loss.top(states[i]), {}};
  for (int first = 0; first < cols; first += group) {
    float s[PL_ROW_GROUP], top = part.top;
    pl_read_group(loss, row, i, first, cols, s);
    for (int k = 0; k < PL_ROW_GROUP; k++) top = fmaxf(top, s[k]); /* leaves NaN out */
    loss.raise(part, top);
    loss.add(part, s);
  }
  loss.raise(part, pl_block_largest(part.top));
  pl_block_sums(part.sum);
  if (threadIdx.x == 0) loss.merge(states[i], part, i, row, cols);
}

template <typename Loss>
inline void pl_gather_rows(pl_stream stream, const Loss &loss, const pl_pair_tile *tile,
                           void *states) {
  PL_LAUNCH((pl_gather_kernel<Loss>), tile->rows, pl_row_threads(tile->cols), stream, loss, tile->s,
            tile->stride, tile->cols, static_cast<typename Loss::state *>(states));
}

/* ---- sweep 2 ----
 *
 * A loss for this sweep has
 *   row_terms, column_terms                                 what it knows of one,
 *   row_terms row_of(const float *row_stats, int i) const,
 *   column_terms column_of(const float *col_stats, int j) const,
 *   float weight(float s, const row_terms &, const column_terms &, int j) const
 *                                                           without branches: cheaper than a warp
 *                                                           that parts and meets again.
 *
 * A thread has four columns and goes over some rows, all of which it reads first. */
enum { PL_WEIGH_THREADS = 256, PL_WEIGH_ROWS = 4 };

template <typename Loss, typename T>
__global__ void __launch_bounds__(PL_WEIGH_THREADS)
    pl_weigh_kernel(Loss loss, const float *tile, int64_t stride, int rows, int cols,
                    unsigned segments, const float *row_stats, const float *col_stats, T *weights) {
  const int j = 4 * (int)(blockIdx.x % segments * PL_WEIGH_THREADS + threadIdx.x);
  const int first = (int)(blockIdx.x / segments) * PL_WEIGH_ROWS;
  if (j >= cols) return;
  typename Loss::column_terms column[4];
  typename Loss::row_terms row[PL_WEIGH_ROWS];
  float4 s[PL_WEIGH_ROWS];
  for (int k = 0; k < 4; k++) column[k] = loss.column_of(col_stats, min(j + k, cols - 1));
  PL_UNROLL
  for (int r = 0; r < PL_WEIGH_ROWS; r++) {
    int i = min(first + r, rows - 1);
    row[r] = loss.row_of(row_stats, i);
    s[r] = pl_read4(tile, (size_t)(i * stride + j));
  }
  PL_UNROLL
  for (int r = 0; r < PL_WEIGH_ROWS; r++) {
    float4 w = make_float4(loss.weight(s[r].x, row[r], column[0], j),
                           loss.weight(s[r].y, row[r], column[1], j + 1),
                           loss.weight(s[r].z, row[r], column[2], j + 2),
                           loss.weight(s[r].w, row[r], column[3], j + 3));
    if (first + r < rows) pl_write4(weights, (size_t)((first + r) * stride + j), w);
  }
}

template <typename T, typename Loss>
inline void pl_weigh_rows_as(pl_stream stream, const Loss &loss, const pl_pair_tile *tile,
                             const float *row_stats, const float *col_stats, void *weights) {
  const int segment = 4 * PL_WEIGH_THREADS;
  unsigned segments = (unsigned)((tile->cols + segment - 1) / segment);
  unsigned groups = (unsigned)((tile->rows + PL_WEIGH_ROWS - 1) / PL_WEIGH_ROWS);
  PL_LAUNCH((pl_weigh_kernel<Loss, T>), segments * groups, PL_WEIGH_THREADS, stream, loss, tile->s,
            tile->stride, tile->rows, tile->cols, segments, row_stats, col_stats,
            static_cast<T *>(weights));
}

template <typename Loss>
inline void pl_weigh_rows(pl_stream stream, const Loss &loss, const pl_pair_tile *tile,
                          const float *row_stats, const float *col_stats, pl_dtype type,
                          void *weights) {
  PL_BY_TYPE(type, pl_weigh_rows_as, stream, loss, tile, row_stats, col_stats, weights);
}

#endif
