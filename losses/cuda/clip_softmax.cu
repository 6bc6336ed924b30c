/* CLIP's loss: losses/clip_softmax.c tells the formulas. */
#include "losses/clip_rows.h"

#include "losses/cuda/powers.h"
#include "losses/cuda/rows.h"

namespace {

struct gather_loss {
  using state = pl_softmax_state;
  enum { POWERS, WEIGHTED, SUMS };
  float steep;
  int offset; /* of the first row's partner */

  __device__ bool skips(int i, int j) const { return j == offset + i; }
  __device__ float top(const state &before) const { return before.top; }
  /* A higher base makes every exponent smaller by `fall`. */
  __device__ void raise(pl_row_part<SUMS> &part, float top) const {
    if (top == part.top) return;
    float fall = pl_base(top, steep) - pl_base(part.top, steep), shrink = pl_exp2(-fall);
    part.sum[WEIGHTED] = (part.sum[WEIGHTED] - part.sum[POWERS] * fall) * shrink;
    part.sum[POWERS] *= shrink;
    part.top = top;
  }
  template <int N>
  __device__ void add(pl_row_part<SUMS> &part, const float (&s)[N]) const {
    float base = pl_base(part.top, steep), sum = 0, weighted = 0;
    for (int k = 0; k < N; k++) {
      float u = s[k] * steep - base, power = pl_exp2(u);
      sum += power;
      weighted += power == 0 ? 0 : power * u; /* what is left out has u = -infinity */
    }
    part.sum[POWERS] += sum;
    part.sum[WEIGHTED] += weighted;
  }
  __device__ void merge(state &row, const pl_row_part<SUMS> &part, int i, const float *s,
                        int cols) const {
    double base = (double)pl_base(part.top, steep);
    double fall = base - row.base, shrink = exp2(-fall);
    row.weighted = (row.weighted - row.sum * fall) * shrink + (double)part.sum[WEIGHTED];
    row.sum = row.sum * shrink + (double)part.sum[POWERS];
    row.top = part.top;
    row.base = base;
    int partner = offset + i;
    if (partner >= 0 && partner < cols) row.partner = (double)s[partner];
  }
};

struct weigh_loss {
  struct row_terms {
    float norm, miss;
    int partner;
  };
  struct column_terms {
    float norm, miss;
  };
  float steep, share;
  int offset;

  __device__ row_terms row_of(const float *stats, int i) const {
    const float *own = stats + (int64_t)i * PL_SOFTMAX_STATS;
    return {own[PL_SOFTMAX_NORM], own[PL_SOFTMAX_MISS], offset + i};
  }
  __device__ column_terms column_of(const float *stats, int j) const {
    const float *own = stats + (int64_t)j * PL_SOFTMAX_STATS;
    return {own[PL_SOFTMAX_NORM], own[PL_SOFTMAX_MISS]};
  }
  __device__ float weight(float s, const row_terms &row, const column_terms &column, int j) const {
    float sum = pl_two_powers(s, steep, row.norm, column.norm);
    return (j == row.partner ? -(row.miss + column.miss) : sum) * share;
  }
};

void gather(pl_stream stream, const void *context, const pl_pair_tile *tile, void *states) {
  const pl_clip_terms &terms = *static_cast<const pl_clip_terms *>(context);
  pl_gather_rows(stream, gather_loss{terms.steep, pl_tile_offset(tile)}, tile, states);
}

void weigh(pl_stream stream, const void *context, const pl_pair_tile *tile, const float *row_stats,
           const float *col_stats, pl_dtype type, void *weights) {
  const pl_clip_terms &terms = *static_cast<const pl_clip_terms *>(context);
  pl_weigh_rows(stream, weigh_loss{terms.steep, terms.share, pl_tile_offset(tile)}, tile, row_stats,
                col_stats, type, weights);
}

}  // namespace

const pl_pair_code pl_clip_softmax_code = {"clip", gather, weigh};
