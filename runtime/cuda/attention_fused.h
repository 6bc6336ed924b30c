/* What the kernels of fused attention share (T. Dao, FlashAttention-2, 2023).
 *
 * A block works on BLOCK positions of one head and row, 16 for each warp, whose values stay in
 * registers as the left matrices of products; the positions that these meet come through shared
 * memory tile by tile, the next one on its way while the warps are at one. Activations are read and
 * written in chunks of 16 bytes. A line of a tile is one chunk longer than it needs: so 8 lines
 * begin in different banks, and nothing that reads a column of chunks waits.
 *
 * WIDTH is the head's width rounded up to what is compiled; columns behind the last are zeros. */
#ifndef PL_CUDA_ATTENTION_FUSED_H
#define PL_CUDA_ATTENTION_FUSED_H

#include "runtime/cuda/tensor_core.h"

enum { PL_OWN = 16, PL_FUSED_WARPS = 4, PL_FUSED_THREADS = PL_FUSED_WARPS * PL_WARP };
enum { PL_FUSED_BLOCK = PL_FUSED_WARPS * PL_OWN };

/* A tile; two stages of two tiles fit into 48 KB. */
template <int WIDTH>
struct pl_tile {
  static constexpr int LINES = WIDTH <= 64 ? 64 : 32, SLICES = LINES / 16;
  static constexpr int CHUNKS = WIDTH / 8, STRIDE = CHUNKS + 1;
  static constexpr int SLICE = 16 * STRIDE, SIZE = LINES * STRIDE; /* chunks */
};

/* The head of a row that a block works on, and its first position there. */
struct pl_fused_place {
  size_t sequence; /* row * heads + head */
  int first;
};

__device__ inline pl_fused_place pl_place_of(const pl_cuda_attention_shape &s) {
  unsigned blocks = (unsigned)(s.length + PL_FUSED_BLOCK - 1) / PL_FUSED_BLOCK;
  return {blockIdx.x / blocks, (int)(blockIdx.x % blocks) * PL_FUSED_BLOCK};
}

inline size_t pl_fused_blocks(const pl_cuda_attention_shape *s) {
  size_t blocks = (size_t)(s->length + PL_FUSED_BLOCK - 1) / PL_FUSED_BLOCK;
  return (size_t)s->rows * (size_t)s->heads * blocks;
}

/* Where the positions of a head lie in an activation, in chunks; a row of it has less than 2³¹. */
struct pl_strip {
  size_t first;
  int line;
};

/* In an activation of `parts` side by side (queries, keys and values; or one), part `part`. */
__device__ inline pl_strip pl_strip_of(const pl_cuda_attention_shape &s, size_t sequence, int parts,
                                       int part) {
  int chunks = s.width / 8, all = s.heads * chunks, line = parts * all;
  int head = (int)(sequence % (size_t)s.heads);
  size_t row = sequence / (size_t)s.heads;
  return {row * (size_t)s.length * (size_t)line + (size_t)(part * all + head * chunks), line};
}

__device__ inline int pl_lane() { return (int)(threadIdx.x % PL_WARP); }

/* A warp's own positions from `first` on, as left matrices; zeros behind the last. Read as they go
 * to registers: two instructions that follow each other read whole sectors. */
template <int WIDTH>
__device__ inline void pl_read_own(uint32_t (&own)[WIDTH / 16][4], const pl_cuda_attention_shape &s,
                                   const uint4 *from, const pl_strip &strip, int first) {
  from += strip.first;
  PL_UNROLL
  for (int step = 0; step < WIDTH / 16; step++) {
    PL_UNROLL
    for (int i = 0; i < 4; i++) {
      int position = first + pl_lane() / 4 + i % 2 * 8, chunk = 2 * step + i / 2;
      const uint4 *at = from + (position * strip.line + chunk);
      bool there = position < s.length && chunk < s.width / 8;
      own[step][i] = there ? reinterpret_cast<const uint32_t *>(at)[pl_lane() % 4] : 0;
    }
  }
}

/* Begins to copy a tile of positions from `first` on; zeros behind the last. */
template <int WIDTH>
__device__ inline void pl_copy_tile(uint4 *tile, const pl_cuda_attention_shape &s,
                                    const uint4 *from, const pl_strip &strip, int first) {
  using shape = pl_tile<WIDTH>;
  from += strip.first;
  PL_UNROLL
  for (int i = 0; i < shape::LINES * shape::CHUNKS / PL_FUSED_THREADS; i++) {
    int at = i * PL_FUSED_THREADS + (int)threadIdx.x;
    int line = at / shape::CHUNKS, chunk = at % shape::CHUNKS, position = first + line;
    bool there = position < s.length && chunk < s.width / 8;
    pl_copy_async(tile + line * shape::STRIDE + chunk,
                  from + (there ? position * strip.line + chunk : 0), there);
  }
}

/* Calls copy(stage, first) and then work(stage, first) for each tile of positions from `first` to
 * `end`; copies into one stage (0, 1) are under way while work is done on the other. */
template <int LINES, typename Copy, typename Work>
__device__ __forceinline__ void pl_each_tile(int first, int end, Copy copy, Work work) {
  copy(0, first);
  pl_commit_copies();
  for (int stage = 0; first < end; first += LINES, stage ^= 1) {
    if (first + LINES < end) copy(stage ^ 1, first + LINES);
    pl_commit_copies();
    pl_wait_for_copies<1>();
    __syncthreads();
    work(stage, first);
    __syncthreads();
  }
}

/* result += own · sliceᵀ: a warp's 16 positions with each of the 16 of a slice of a tile. Element i
 * of result n is for own position lane / 4 + i / 2 * 8, and position pl_column(n, i) of the slice.
 */
template <int WIDTH>
__device__ inline void pl_add_scores(float (&result)[2][4], const uint32_t (&own)[WIDTH / 16][4],
                                     const uint4 *slice) {
  int lane = pl_lane();
  const uint4 *line = slice + (lane % 8 + lane / 16 * 8) * pl_tile<WIDTH>::STRIDE + lane / 8 % 2;
  PL_UNROLL
  for (int step = 0; step < WIDTH / 16; step++) {
    uint32_t right[4];
    pl_load_matrices(right, line + 2 * step);
    pl_multiply_add(result[0], own[step], right[0], right[1]);
    pl_multiply_add(result[1], own[step], right[2], right[3]);
  }
}

__device__ inline int pl_column(int n, int i) { return n * 8 + pl_lane() % 4 * 2 + i % 2; }

/* result += weights · slice, for weights as pl_add_scores leaves them, which are rounded. */
template <int WIDTH>
__device__ inline void pl_add_mix(float (&result)[WIDTH / 8][4], const float (&weights)[2][4],
                                  const uint4 *slice) {
  const uint32_t left[4] = {
      pl_pair(weights[0][0], weights[0][1]), pl_pair(weights[0][2], weights[0][3]),
      pl_pair(weights[1][0], weights[1][1]), pl_pair(weights[1][2], weights[1][3])};
  const uint4 *line = slice + pl_lane() % 16 * pl_tile<WIDTH>::STRIDE + pl_lane() / 16;
  PL_UNROLL
  for (int pair = 0; pair < WIDTH / 16; pair++) {
    uint32_t right[4];
    pl_load_transposed(right, line + 2 * pair);
    pl_multiply_add(result[2 * pair], left, right[0], right[1]);
    pl_multiply_add(result[2 * pair + 1], left, right[2], right[3]);
  }
}

/* Over the four lanes that have a position's values, in each of them. */
__device__ inline float pl_quad_sum(float value) {
  value += __shfl_xor_sync(0xFFFFFFFFu, value, 1);
  return value + __shfl_xor_sync(0xFFFFFFFFu, value, 2);
}
__device__ inline float pl_quad_largest(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, 2));
}

/* Writes a warp's own positions, each half of them (lines g, g + 8) times its factor. They go
 * through shared memory, 16 lines for each warp, so that whole chunks are written. */
template <int WIDTH>
__device__ inline void pl_write_own(uint4 *to, const pl_cuda_attention_shape &s,
                                    const pl_strip &strip, int first,
                                    const float (&own)[WIDTH / 8][4], const float (&factor)[2],
                                    uint4 *room) {
  using shape = pl_tile<WIDTH>;
  uint32_t *line = reinterpret_cast<uint32_t *>(room + pl_lane() / 4 * shape::STRIDE);
  uint32_t *below = reinterpret_cast<uint32_t *>(room + (pl_lane() / 4 + 8) * shape::STRIDE);
  PL_UNROLL
  for (int n = 0; n < WIDTH / 8; n++) {
    line[n * 4 + pl_lane() % 4] = pl_pair(own[n][0] * factor[0], own[n][1] * factor[0]);
    below[n * 4 + pl_lane() % 4] = pl_pair(own[n][2] * factor[1], own[n][3] * factor[1]);
  }
  __syncwarp();
  to += strip.first;
  for (int i = pl_lane(); i < 16 * shape::CHUNKS; i += PL_WARP) {
    int position = first + i / shape::CHUNKS, chunk = i % shape::CHUNKS;
    if (position < s.length && chunk < s.width / 8)
      to[position * strip.line + chunk] = room[i / shape::CHUNKS * shape::STRIDE + chunk];
  }
  __syncwarp();
}

/* Calls `function<WIDTH>(…)`. */
#define PL_BY_HEAD_WIDTH(width, function, ...) \
  do {                                         \
    if ((width) <= 32)                         \
      function<32>(__VA_ARGS__);               \
    else if ((width) <= 64)                    \
      function<64>(__VA_ARGS__);               \
    else if ((width) <= 96)                    \
      function<96>(__VA_ARGS__);               \
    else                                       \
      function<128>(__VA_ARGS__);              \
  } while (0)

#endif
