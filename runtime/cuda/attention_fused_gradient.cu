/* Gradients of attention. With P made again from the scores and what forward saved, D = rowsum(dY ∘
 * Y), which is rowsum(P ∘ dY Vᵀ), and dS = P ∘ (dY Vᵀ - D): dQ = dS K, dK = dSᵀ Q, both times
 * 1 / sqrt(width), and dV = Pᵀ dY.
 *
 * Two kernels, so that each sum is made by one warp in the order of positions: the first over
 * blocks of queries makes dQ and D, the second over blocks of keys dK and dV. Both see the same
 * picture, the second one transposed: the scores and slopes of the warp's own positions are made
 * from two tiles, and mix these. */
#include "runtime/cuda/attention_fused.h"

namespace {

/* Whether a slice of 16 from `from` on may hold positions that a warp's own (16 from `first` on)
 * have to do with: not so behind the last, and on the dark side of the causal diagonal. */
__device__ inline bool keys_matter(const pl_cuda_attention_shape &s, int first, int from) {
  return from < s.length && (!s.causal || from < first + PL_OWN);
}
__device__ inline bool queries_matter(const pl_cuda_attention_shape &s, int first, int from) {
  return from < s.length && (!s.causal || from + 16 > first);
}

/* rowsum(dY ∘ Y) of the two positions of a lane, in all lanes that have them. */
template <int WIDTH>
__device__ inline void row_sums(float (&sum)[2], const uint32_t (&dy)[WIDTH / 16][4],
                                const uint32_t (&y)[WIDTH / 16][4]) {
  sum[0] = sum[1] = 0;
  PL_UNROLL
  for (int step = 0; step < WIDTH / 16; step++)
    for (int i = 0; i < 4; i++) {
      float2 a = pl_unpair(dy[step][i]), b = pl_unpair(y[step][i]);
      sum[i % 2] += a.x * b.x + a.y * b.y;
    }
  sum[0] = pl_quad_sum(sum[0]);
  sum[1] = pl_quad_sum(sum[1]);
}

/* What a warp knows about its queries; a lane has two of them (lines g, g + 8). */
template <int WIDTH>
struct queries {
  uint32_t q[WIDTH / 16][4], dy[WIDTH / 16][4];
  float dq[WIDTH / 8][4];
  float offset[2], along[2]; /* as saved; D */
  int seen[2];               /* keys */
};

template <int WIDTH>
__device__ inline void begin(queries<WIDTH> &own, const pl_cuda_attention_shape &s, size_t sequence,
                             int first, const uint4 *x, const uint4 *y, const uint4 *dy,
                             const float *saved, float *along) {
  uint32_t result[WIDTH / 16][4];
  pl_strip whole = pl_strip_of(s, sequence, 1, 0);
  pl_read_own<WIDTH>(own.q, s, x, pl_strip_of(s, sequence, 3, 0), first);
  pl_read_own<WIDTH>(own.dy, s, dy, whole, first);
  pl_read_own<WIDTH>(result, s, y, whole, first);
  row_sums<WIDTH>(own.along, own.dy, result);
  PL_UNROLL
  for (int n = 0; n < WIDTH / 8; n++)
    for (int i = 0; i < 4; i++) own.dq[n][i] = 0;
  PL_UNROLL
  for (int r = 0; r < 2; r++) {
    int query = first + pl_lane() / 4 + r * 8;
    bool there = query < s.length;
    size_t at = sequence * (size_t)s.length + (size_t)query;
    own.offset[r] = there ? saved[at] : 0;
    own.seen[r] = s.causal && there ? query + 1 : s.length;
    if (there && pl_lane() % 4 == 0) along[at] = own.along[r];
  }
}

/* Takes in a slice of keys and values, from key `from` on. */
template <int WIDTH>
__device__ inline void add_keys(queries<WIDTH> &own, const pl_cuda_attention_shape &s, int from,
                                const uint4 *keys, const uint4 *values) {
  float score[2][4] = {}, slope[2][4] = {};
  pl_add_scores<WIDTH>(score, own.q, keys);
  pl_add_scores<WIDTH>(slope, own.dy, values);
  PL_UNROLL
  for (int n = 0; n < 2; n++)
    for (int i = 0; i < 4; i++) {
      bool sees = from + pl_column(n, i) < own.seen[i / 2];
      float p = sees ? pl_exp2(score[n][i] * s.factor - own.offset[i / 2]) : 0;
      slope[n][i] = p * (slope[n][i] - own.along[i / 2]);
    }
  pl_add_mix<WIDTH>(own.dq, slope, keys);
}

template <int WIDTH>
__global__ void __launch_bounds__(PL_FUSED_THREADS)
    queries_kernel(pl_cuda_attention_shape s, const uint4 *x, const uint4 *y, const uint4 *dy,
                   const float *saved, float *along, uint4 *dx) {
  using shape = pl_tile<WIDTH>;
  PL_SHARED uint4 tiles[4 * shape::SIZE]; /* keys and values of stage 0, then of stage 1 */
  pl_fused_place place = pl_place_of(s);
  int warp = (int)threadIdx.x / PL_WARP, first = place.first + warp * PL_OWN;
  pl_strip key = pl_strip_of(s, place.sequence, 3, 1);
  pl_strip value = pl_strip_of(s, place.sequence, 3, 2);
  queries<WIDTH> own;
  begin(own, s, place.sequence, first, x, y, dy, saved, along);
  int last = place.first + PL_FUSED_BLOCK;
  pl_each_tile<shape::LINES>(
      0, s.causal && last < s.length ? last : s.length,
      [&](int stage, int from) {
        pl_copy_tile<WIDTH>(tiles + 2 * stage * shape::SIZE, s, x, key, from);
        pl_copy_tile<WIDTH>(tiles + (2 * stage + 1) * shape::SIZE, s, x, value, from);
      },
      [&](int stage, int from) {
        const uint4 *keys = tiles + 2 * stage * shape::SIZE;
        if (first >= s.length) return;
        PL_UNROLL
        for (int slice = 0; slice < shape::SLICES; slice++, from += 16, keys += shape::SLICE)
          if (keys_matter(s, first, from)) add_keys(own, s, from, keys, keys + shape::SIZE);
      });
  if (first >= s.length) return;
  const float scale[2] = {s.scale, s.scale};
  pl_write_own<WIDTH>(dx, s, pl_strip_of(s, place.sequence, 3, 0), first, own.dq, scale,
                      tiles + warp * shape::SLICE);
}

/* What a warp knows about its keys. */
template <int WIDTH>
struct keys {
  uint32_t k[WIDTH / 16][4], v[WIDTH / 16][4];
  float dk[WIDTH / 8][4], dv[WIDTH / 8][4];
  int first; /* key */
};

template <int WIDTH>
__device__ inline void begin(keys<WIDTH> &own, const pl_cuda_attention_shape &s, size_t sequence,
                             int first, const uint4 *x) {
  own.first = first;
  pl_read_own<WIDTH>(own.k, s, x, pl_strip_of(s, sequence, 3, 1), first);
  pl_read_own<WIDTH>(own.v, s, x, pl_strip_of(s, sequence, 3, 2), first);
  PL_UNROLL
  for (int n = 0; n < WIDTH / 8; n++)
    for (int i = 0; i < 4; i++) own.dk[n][i] = own.dv[n][i] = 0;
}

/* Takes in a slice of queries and their dY, from query `from` on. Queries behind the last are
 * zeros, and so is their D: they add nothing. */
template <int WIDTH>
__device__ inline void add_queries(keys<WIDTH> &own, const pl_cuda_attention_shape &s, int from,
                                   const uint4 *queries, const uint4 *dy, const float *offset,
                                   const float *along) {
  float p[2][4] = {}, slope[2][4] = {};
  pl_add_scores<WIDTH>(p, own.k, queries);
  pl_add_scores<WIDTH>(slope, own.v, dy);
  PL_UNROLL
  for (int n = 0; n < 2; n++)
    for (int i = 0; i < 4; i++) {
      int column = pl_column(n, i), key = own.first + pl_lane() / 4 + i / 2 * 8;
      bool seen = !s.causal || key <= from + column;
      p[n][i] = seen ? pl_exp2(p[n][i] * s.factor - offset[column]) : 0;
      slope[n][i] = p[n][i] * (slope[n][i] - along[column]);
    }
  pl_add_mix<WIDTH>(own.dv, p, dy);
  pl_add_mix<WIDTH>(own.dk, slope, queries);
}

/* Begins to copy numbers of the positions from `first` on; zeros behind the last. */
template <int LINES>
__device__ inline void copy_numbers(float *to, const pl_cuda_attention_shape &s, const float *from,
                                    size_t sequence, int first) {
  if (threadIdx.x >= LINES) return;
  int position = first + (int)threadIdx.x;
  bool there = position < s.length;
  size_t at = sequence * (size_t)s.length + (size_t)position;
  pl_copy_async(to + threadIdx.x, there ? from + at : from, there);
}

template <int WIDTH>
__global__ void __launch_bounds__(PL_FUSED_THREADS)
    keys_kernel(pl_cuda_attention_shape s, const uint4 *x, const uint4 *dy, const float *saved,
                const float *along, uint4 *dx) {
  using shape = pl_tile<WIDTH>;
  PL_SHARED uint4 tiles[4 * shape::SIZE]; /* queries and dY of stage 0, then of stage 1 */
  PL_SHARED float offsets[2][shape::LINES], alongs[2][shape::LINES];
  pl_fused_place place = pl_place_of(s);
  int warp = (int)threadIdx.x / PL_WARP, first = place.first + warp * PL_OWN;
  pl_strip query = pl_strip_of(s, place.sequence, 3, 0);
  pl_strip whole = pl_strip_of(s, place.sequence, 1, 0);
  keys<WIDTH> own;
  begin(own, s, place.sequence, first, x);
  pl_each_tile<shape::LINES>(
      s.causal ? place.first : 0, s.length,
      [&](int stage, int from) {
        pl_copy_tile<WIDTH>(tiles + 2 * stage * shape::SIZE, s, x, query, from);
        pl_copy_tile<WIDTH>(tiles + (2 * stage + 1) * shape::SIZE, s, dy, whole, from);
        copy_numbers<shape::LINES>(offsets[stage], s, saved, place.sequence, from);
        copy_numbers<shape::LINES>(alongs[stage], s, along, place.sequence, from);
      },
      [&](int stage, int from) {
        const uint4 *slice = tiles + 2 * stage * shape::SIZE;
        if (first >= s.length) return;
        PL_UNROLL
        for (int i = 0; i < shape::SLICES; i++, slice += shape::SLICE)
          if (queries_matter(s, first, from + i * 16))
            add_queries(own, s, from + i * 16, slice, slice + shape::SIZE, offsets[stage] + i * 16,
                        alongs[stage] + i * 16);
      });
  if (first >= s.length) return;
  const float scale[2] = {s.scale, s.scale}, one[2] = {1, 1};
  uint4 *room = tiles + warp * shape::SLICE;
  pl_write_own<WIDTH>(dx, s, pl_strip_of(s, place.sequence, 3, 1), first, own.dk, scale, room);
  pl_write_own<WIDTH>(dx, s, pl_strip_of(s, place.sequence, 3, 2), first, own.dv, one, room);
}

template <int WIDTH>
void backward(pl_stream stream, const pl_cuda_attention_shape *s, const void *x, const void *y,
              const void *dy, const float *saved, float *along, void *dx) {
  size_t blocks = pl_fused_blocks(s);
  PL_LAUNCH(queries_kernel<WIDTH>, blocks, PL_FUSED_THREADS, stream, *s, (const uint4 *)x,
            (const uint4 *)y, (const uint4 *)dy, saved, along, (uint4 *)dx);
  PL_LAUNCH(keys_kernel<WIDTH>, blocks, PL_FUSED_THREADS, stream, *s, (const uint4 *)x,
            (const uint4 *)dy, saved, (const float *)along, (uint4 *)dx);
}

}  // namespace

void pl_launch_attention_gradient(pl_stream stream, const pl_cuda_attention_shape *shape,
                                  const void *x, const void *y, const void *dy, const float *saved,
                                  float *along, void *dx) {
  PL_BY_HEAD_WIDTH(shape->width, backward, stream, shape, x, y, dy, saved, along, dx);
}
