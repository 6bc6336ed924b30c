/* SigLIP's loss: losses/clip_sigmoid.c tells the formulas. */
#include "losses/clip_rows.h"

#include "losses/cuda/rows.h"

namespace {

/* σ of u in base 2, and e = 2^{−|u|}. */
__device__ inline float sigmoid(float u, float *e) {
  *e = pl_exp2(-fabsf(u));
  float above = __fdividef(1.0f, 1.0f + *e);
  return u > 0 ? above : *e * above;
}

/* Whether the partner is the most similar is all that the mirror asks. */
template <bool MIRROR>
struct gather_loss {
  using state = pl_sigmoid_state;
  enum { LOSS, OPEN, WEIGHTED, SUMS };
  float steep, shift;
  int offset; /* of the first row's partner */

  __device__ bool skips(int i, int j) const { return j == offset + i; }
  __device__ float top(const state &before) const { return before.top; }
  __device__ void raise(pl_row_part<SUMS> &part, float top) const { part.top = top; }
  /* What is left out has e = 0 and adds nothing. */
  template <int N>
  __device__ void add(pl_row_part<SUMS> &part, const float (&s)[N]) const {
    const float ln2 = 0.693147181f;
    if (MIRROR) return;
    float loss = 0, open = 0, weighted = 0;
    for (int k = 0; k < N; k++) {
      float e, u = s[k] * steep + shift, share = sigmoid(u, &e);
      loss += (u > 0 ? u * ln2 : 0) + log1pf(e);
      open += share;
      weighted += share == 0 ? 0 : share * s[k];
    }
    part.sum[LOSS] += loss;
    part.sum[OPEN] += open;
    part.sum[WEIGHTED] += weighted;
  }
  __device__ void merge(state &row, const pl_row_part<SUMS> &part, int i, const float *s,
                        int cols) const {
    row.loss += (double)part.sum[LOSS];
    row.open += (double)part.sum[OPEN];
    row.weighted += (double)part.sum[WEIGHTED];
    row.top = part.top;
    int partner = offset + i;
    if (partner >= 0 && partner < cols) row.partner = (double)s[partner];
  }
};

/* A pair's weight needs no statistics. */
struct weigh_loss {
  struct row_terms {
    int partner;
  };
  struct column_terms {};
  float steep, shift, share;
  int offset;

  __device__ row_terms row_of(const float *, int i) const { return {offset + i}; }
  __device__ column_terms column_of(const float *, int) const { return {}; }
  __device__ float weight(float s, const row_terms &row, const column_terms &, int j) const {
    float e, u = s * steep + shift;
    return j == row.partner ? -sigmoid(-u, &e) * share : sigmoid(u, &e) * share;
  }
};

template <bool MIRROR>
void gather(pl_stream stream, const void *context, const pl_pair_tile *tile, void *states) {
  const pl_clip_terms &terms = *static_cast<const pl_clip_terms *>(context);
  pl_gather_rows(stream, gather_loss<MIRROR>{terms.steep, terms.shift, pl_tile_offset(tile)}, tile,
                 states);
}

void weigh(pl_stream stream, const void *context, const pl_pair_tile *tile, const float *row_stats,
           const float *col_stats, pl_dtype type, void *weights) {
  const pl_clip_terms &terms = *static_cast<const pl_clip_terms *>(context);
  pl_weigh_rows(stream, weigh_loss{terms.steep, terms.shift, terms.share, pl_tile_offset(tile)},
                tile, row_stats, col_stats, type, weights);
}

}  // namespace

const pl_pair_code pl_clip_sigmoid_code = {"siglip", gather<false>, weigh};
const pl_pair_code pl_clip_sigmoid_texts_code = {"siglip, texts", gather<true>, weigh};
