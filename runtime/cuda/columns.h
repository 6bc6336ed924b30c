/* Device code over arrays (positions, columns), such as channel-last activations: a thread keeps to
 * a few columns, four where every row is aligned to that, else one; its neighbours have the next
 * ones; and it goes over a chunk of the positions. */
#ifndef PL_CUDA_COLUMNS_H
#define PL_CUDA_COLUMNS_H

#include "runtime/cuda/code.h"

/* N neighbouring values, N being 4 or 1. */
template <int N>
struct pl_values {
  float at[N];
};

template <int N, typename T>
__device__ inline pl_values<N> pl_read_values(const T *from, size_t i) {
  if constexpr (N == 4) {
    float4 v = pl_read4(from, i);
    return {{v.x, v.y, v.z, v.w}};
  } else {
    return {{pl_read(from, i)}};
  }
}
template <int N, typename T>
__device__ inline void pl_write_values(T *to, size_t i, const pl_values<N> &v) {
  if constexpr (N == 4)
    pl_write4(to, i, make_float4(v.at[0], v.at[1], v.at[2], v.at[3]));
  else
    pl_write(to, i, v.at[0]);
}

/* Whether arrays of rows of `columns` can be read by fours; NULL can. */
template <typename... T>
inline bool pl_fours_in(size_t columns, const T *...array) {
  bool aligned = columns % 4 == 0;
  const bool each[] = {pl_fours(array)...};
  for (bool one : each) aligned = aligned && one;
  return aligned;
}

enum { PL_COLUMN_THREADS = 256 };

/* How blocks share an array: block b has tile b % tiles of the columns and chunk b / tiles of the
 * positions; `width` of its threads stand side by side on a row. */
struct pl_column_grid {
  size_t positions, columns, chunk, chunks;
  unsigned width, tiles;
};

template <int N>
inline pl_column_grid pl_column_grid_of(size_t positions, size_t columns, size_t chunks) {
  unsigned width = 1;
  while (width < PL_WARP && width * N < columns) width *= 2;
  size_t tile = (size_t)width * N;
  return {positions, columns, (positions + chunks - 1) / chunks,
          chunks,    width,   (unsigned)((columns + tile - 1) / tile)};
}

/* What a thread goes over: columns from `column` on, positions first, first + step … before end. */
struct pl_column_place {
  size_t column, first, end, step;
};

template <int N>
__device__ inline pl_column_place pl_place(const pl_column_grid &grid) {
  size_t column = ((blockIdx.x % grid.tiles) * grid.width + threadIdx.x % grid.width) * (size_t)N;
  size_t first = blockIdx.x / grid.tiles * grid.chunk;
  size_t end = first + grid.chunk < grid.positions ? first + grid.chunk : grid.positions;
  if (column >= grid.columns) end = first; /* nothing left, but it waits with the others */
  return {column, first + threadIdx.x / grid.width, end, blockDim.x / grid.width};
}

/* ---- sums over the positions ----
 *
 * A Term adds what a position contributes to SUMS sums of each column:
 *   template <int N> void add(size_t position, size_t column, float (&sum)[SUMS][N]) const;
 * a Result takes the sums of a column: void store(size_t column, const double (&sum)[SUMS]) const;
 *
 * A thread adds groups of positions in f32 before they go to doubles: exact enough, as rounding
 * errors don't build up, and conversions to doubles are slow. Rows of a block are added as a tree,
 * then chunks in their order, which all depends on the shape only. */

template <int GROUP, int SUMS, int N, typename Term>
__device__ inline void pl_add_group(const Term &term, const pl_column_place &place, size_t position,
                                    double (&sum)[SUMS][N]) {
  float group[SUMS][N] = {};
  for (int i = 0; i < GROUP; i++)
    term.template add<N>(position + (size_t)i * place.step, place.column, group);
  for (int s = 0; s < SUMS; s++)
    for (int n = 0; n < N; n++) sum[s][n] += (double)group[s][n];
}

/* The term as a thread uses it for its columns: itself, or what an overload for the term makes of
 * it to read once what all positions share. */
template <int N, typename Term>
__device__ inline const Term &pl_for_columns(const Term &term, size_t column) {
  (void)column;
  return term;
}

/* partial: (chunks, SUMS, columns). */
template <int SUMS, int N, typename Term>
static __global__ void pl_column_sums_kernel(Term term, pl_column_grid grid, double *partial) {
  PL_SHARED double rows[SUMS * N][PL_COLUMN_THREADS];
  const int group = 8;
  pl_column_place place = pl_place<N>(grid);
  double sum[SUMS][N] = {};
  /* Those beyond the columns add nothing, but may read what is there for all. */
  const auto &own = pl_for_columns<N>(term, place.column < grid.columns ? place.column : 0);
  size_t p = place.first;
  for (; p + (group - 1) * place.step < place.end; p += group * place.step)
    pl_add_group<group>(own, place, p, sum);
  for (; p < place.end; p += place.step) pl_add_group<1>(own, place, p, sum);
  for (int i = 0; i < SUMS * N; i++) rows[i][threadIdx.x] = sum[i / N][i % N];
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half >= grid.width; half /= 2) {
    if (threadIdx.x < half)
      for (int i = 0; i < SUMS * N; i++) rows[i][threadIdx.x] += rows[i][threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x >= grid.width || place.column >= grid.columns) return;
  double *to = partial + blockIdx.x / grid.tiles * SUMS * grid.columns + place.column;
  for (int i = 0; i < SUMS * N; i++) to[i / N * grid.columns + i % N] = rows[i][threadIdx.x];
}

/* A block has this many columns, and for each as many threads that share the chunks. */
enum { PL_FINISH_SIDE = 16 };

template <int SUMS, typename Result>
static __global__ void pl_column_finish_kernel(Result result, const double *partial, size_t chunks,
                                               size_t columns) {
  PL_SHARED double rows[SUMS][PL_FINISH_SIDE * PL_FINISH_SIDE];
  unsigned row = threadIdx.x / PL_FINISH_SIDE;
  size_t column = (size_t)blockIdx.x * PL_FINISH_SIDE + threadIdx.x % PL_FINISH_SIDE;
  double sum[SUMS] = {};
  for (size_t i = row; i < chunks && column < columns; i += PL_FINISH_SIDE)
    for (int s = 0; s < SUMS; s++) sum[s] += partial[(i * SUMS + s) * columns + column];
  for (int s = 0; s < SUMS; s++) rows[s][threadIdx.x] = sum[s];
  __syncthreads();
  if (row > 0 || column >= columns) return;
  for (unsigned i = 1; i < PL_FINISH_SIDE; i++)
    for (int s = 0; s < SUMS; s++) sum[s] += rows[s][i * PL_FINISH_SIDE + threadIdx.x];
  result.store(column, sum);
}

/* Adds the chunks: partial (chunks, SUMS, columns). */
template <int SUMS, typename Result>
inline void pl_column_finish(pl_stream stream, const Result &result, const double *partial,
                             size_t chunks, size_t columns) {
  PL_LAUNCH((pl_column_finish_kernel<SUMS, Result>),
            (columns + PL_FINISH_SIDE - 1) / PL_FINISH_SIDE, PL_FINISH_SIDE * PL_FINISH_SIDE,
            stream, result, partial, chunks, columns);
}

/* `fours`: whether all that the term reads can be read by fours. partial: scratch of
 * pl_launch_column_chunks() * SUMS * columns doubles. */
template <int SUMS, typename Term, typename Result>
inline void pl_column_sums(pl_stream stream, const Term &term, const Result &result, bool fours,
                           size_t positions, size_t columns, double *partial) {
  size_t chunks = pl_launch_column_chunks(positions, columns);
  if (fours) {
    pl_column_grid grid = pl_column_grid_of<4>(positions, columns, chunks);
    PL_LAUNCH((pl_column_sums_kernel<SUMS, 4, Term>), grid.tiles * chunks, PL_COLUMN_THREADS,
              stream, term, grid, partial);
  } else {
    pl_column_grid grid = pl_column_grid_of<1>(positions, columns, chunks);
    PL_LAUNCH((pl_column_sums_kernel<SUMS, 1, Term>), grid.tiles * chunks, PL_COLUMN_THREADS,
              stream, term, grid, partial);
  }
  pl_column_finish<SUMS>(stream, result, partial, chunks, columns);
}

#endif
