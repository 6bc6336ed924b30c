/* Y = softmax(Q Kᵀ / sqrt(width)) V, with each query's largest score, sum of exponentials and mix
 * of values brought up to date tile by tile: when a larger score comes, what was summed so far is
 * scaled down. */
#include "runtime/cuda/attention_fused.h"

namespace {

/* What a warp knows about its queries. A lane has two of them (lines g, g + 8), and of their sums
 * only what came from its own columns. */
template <int WIDTH>
struct queries {
  uint32_t own[WIDTH / 16][4];
  float mix[WIDTH / 8][4];
  float largest[2], sum[2];
};

template <int WIDTH>
__device__ inline void begin(queries<WIDTH> &q) {
  PL_UNROLL
  for (int n = 0; n < WIDTH / 8; n++)
    for (int i = 0; i < 4; i++) q.mix[n][i] = 0;
  PL_UNROLL
  for (int r = 0; r < 2; r++) {
    q.largest[r] = -INFINITY;
    q.sum[r] = 0;
  }
}

/* Exponentials of the scores of query r (0, 1) take the scores' place. The first key is seen by
 * all, so the largest score is none of those hidden. */
template <int WIDTH, int SLICES>
__device__ inline void soften(queries<WIDTH> &q, float (&score)[SLICES][2][4], int r,
                              float factor) {
  float largest = q.largest[r];
  PL_UNROLL
  for (int slice = 0; slice < SLICES; slice++)
    for (int n = 0; n < 2; n++)
      largest = fmaxf(largest, fmaxf(score[slice][n][2 * r], score[slice][n][2 * r + 1]));
  largest = pl_quad_largest(largest);
  float shrink = pl_exp2((q.largest[r] - largest) * factor), offset = largest * factor;
  q.largest[r] = largest;
  q.sum[r] *= shrink;
  PL_UNROLL
  for (int n = 0; n < WIDTH / 8; n++) {
    q.mix[n][2 * r] *= shrink;
    q.mix[n][2 * r + 1] *= shrink;
  }
  PL_UNROLL
  for (int slice = 0; slice < SLICES; slice++)
    for (int n = 0; n < 2; n++)
      for (int i = 2 * r; i < 2 * r + 2; i++) {
        score[slice][n][i] = pl_exp2(score[slice][n][i] * factor - offset);
        q.sum[r] += score[slice][n][i];
      }
}

/* Hides keys, of a tile from `first` on, from those queries, `query` being the first of the warp's,
 * that do not see them. */
template <int SLICES>
__device__ inline void hide(const pl_cuda_attention_shape &s, float (&score)[SLICES][2][4],
                            int query, int first) {
  int own = query + pl_lane() / 4, seen[2];
  PL_UNROLL
  for (int r = 0; r < 2; r++)
    seen[r] = s.causal && own + r * 8 < s.length ? own + r * 8 + 1 : s.length;
  PL_UNROLL
  for (int slice = 0; slice < SLICES; slice++)
    for (int n = 0; n < 2; n++)
      for (int i = 0; i < 4; i++)
        if (first + slice * 16 + pl_column(n, i) >= seen[i / 2]) score[slice][n][i] = -INFINITY;
}

/* Takes in a tile of keys and values, from key `first` on. */
template <int WIDTH>
__device__ inline void attend(queries<WIDTH> &q, const pl_cuda_attention_shape &s, int query,
                              int first, const uint4 *keys, const uint4 *values) {
  using shape = pl_tile<WIDTH>;
  float score[shape::SLICES][2][4] = {};
  PL_UNROLL
  for (int slice = 0; slice < shape::SLICES; slice++)
    pl_add_scores<WIDTH>(score[slice], q.own, keys + slice * shape::SLICE);
  if (s.causal || first + shape::LINES > s.length) hide(s, score, query, first);
  soften(q, score, 0, s.factor);
  soften(q, score, 1, s.factor);
  PL_UNROLL
  for (int slice = 0; slice < shape::SLICES; slice++)
    pl_add_mix<WIDTH>(q.mix, score[slice], values + slice * shape::SLICE);
}

/* With the usual width, 64, four blocks are to share a multiprocessor. */
template <int WIDTH>
__global__ void __launch_bounds__(PL_FUSED_THREADS, WIDTH == 64 ? 4 : 0)
    forward_kernel(pl_cuda_attention_shape s, const uint4 *x, uint4 *y, float *saved) {
  using shape = pl_tile<WIDTH>;
  PL_SHARED uint4 tiles[4 * shape::SIZE]; /* keys and values of stage 0, then of stage 1 */
  pl_fused_place place = pl_place_of(s);
  int warp = (int)threadIdx.x / PL_WARP, first = place.first + warp * PL_OWN;
  pl_strip key = pl_strip_of(s, place.sequence, 3, 1);
  pl_strip value = pl_strip_of(s, place.sequence, 3, 2);
  queries<WIDTH> q;
  begin(q);
  pl_read_own<WIDTH>(q.own, s, x, pl_strip_of(s, place.sequence, 3, 0), first);
  int last = place.first + PL_FUSED_BLOCK;
  pl_each_tile<shape::LINES>(
      0, s.causal && last < s.length ? last : s.length,
      [&](int stage, int from) {
        pl_copy_tile<WIDTH>(tiles + 2 * stage * shape::SIZE, s, x, key, from);
        pl_copy_tile<WIDTH>(tiles + (2 * stage + 1) * shape::SIZE, s, x, value, from);
      },
      [&](int stage, int from) {
        const uint4 *keys = tiles + 2 * stage * shape::SIZE;
        if (first < s.length) attend(q, s, first, from, keys, keys + shape::SIZE);
      });
  if (first >= s.length) return;
  float share[2];
  for (int r = 0; r < 2; r++) {
    float sum = pl_quad_sum(q.sum[r]);
    int query = first + pl_lane() / 4 + r * 8;
    share[r] = 1 / sum;
    if (saved && pl_lane() % 4 == 0 && query < s.length)
      saved[place.sequence * (size_t)s.length + (size_t)query] =
          q.largest[r] * s.factor + log2f(sum);
  }
  pl_write_own<WIDTH>(y, s, pl_strip_of(s, place.sequence, 1, 0), first, q.mix, share,
                      tiles + warp * shape::SLICE);
}

template <int WIDTH>
void forward(pl_stream stream, const pl_cuda_attention_shape *s, const void *x, void *y,
             float *saved) {
  PL_LAUNCH(forward_kernel<WIDTH>, pl_fused_blocks(s), PL_FUSED_THREADS, stream, *s,
            (const uint4 *)x, (uint4 *)y, saved);
}

}  // namespace

void pl_launch_attention(pl_stream stream, const pl_cuda_attention_shape *shape, const void *x,
                         void *y, float *saved) {
  PL_BY_HEAD_WIDTH(shape->width, forward, stream, shape, x, y, saved);
}
