/* NT-Xent: losses/ntxent.c tells the formulas. */
#include "losses/ntxent_rows.h"

#include "losses/cuda/powers.h"
#include "losses/cuda/rows.h"

namespace {

/* A tile lies within a leaf, of which `within` is its first row. */
struct places {
  int offset, within, samples;
  places(const pl_ntxent_terms &terms, const pl_pair_tile *tile)
      : offset(pl_tile_offset(tile)),
        within((int)(tile->first_row % (2 * (int64_t)terms.leaf_samples))),
        samples(terms.leaf_samples) {}
  __device__ int self(int i) const { return offset + i; }
  __device__ int positive(int i) const {
    return offset + i + (within + i < samples ? samples : -samples);
  }
};

/* Sums of powers over the negatives and, for uniformity, over all others. */
struct gather_loss {
  using state = pl_ntxent_state;
  enum { POWERS, CLOSE, SUMS };
  pl_ntxent_terms terms;
  places at;

  __device__ bool skips(int i, int j) const { return j == at.self(i) || j == at.positive(i); }
  __device__ float top(const state &before) const { return (float)before.top; }
  __device__ void raise(pl_row_part<SUMS> &part, float top) const {
    if (top == part.top) return;
    part.sum[POWERS] *= pl_exp2(pl_base(part.top, terms.steep) - pl_base(top, terms.steep));
    part.top = top;
  }
  template <int N>
  __device__ void add(pl_row_part<SUMS> &part, const float (&s)[N]) const {
    part.sum[POWERS] += pl_powers(s, terms.steep, pl_base(part.top, terms.steep));
    if (terms.want_uniformity) part.sum[CLOSE] += pl_powers(s, PL_CLOSE_STEEP, PL_CLOSE_STEEP);
  }
  __device__ void merge(state &row, const pl_row_part<SUMS> &part, int i, const float *s,
                        int cols) const {
    double base = (double)pl_base(part.top, terms.steep);
    row.sum = row.sum * exp2(row.base - base) + (double)part.sum[POWERS];
    row.top = (double)part.top;
    row.base = base;
    row.close += (double)part.sum[CLOSE];
    int positive = at.positive(i);
    if (positive < 0 || positive >= cols) return;
    row.positive = (double)s[positive];
    if (terms.want_uniformity) row.close += exp(4 * row.positive - 4);
  }
};

struct weigh_loss {
  struct row_terms {
    float norm, miss;
    int self, positive;
  };
  struct column_terms {
    float norm, miss;
  };
  float steep, share;
  places at;

  __device__ row_terms row_of(const float *stats, int i) const {
    const float *own = stats + (int64_t)i * PL_NTXENT_STATS;
    return {own[PL_NTXENT_NORM], own[PL_NTXENT_MISS], at.self(i), at.positive(i)};
  }
  __device__ column_terms column_of(const float *stats, int j) const {
    const float *own = stats + (int64_t)j * PL_NTXENT_STATS;
    return {own[PL_NTXENT_NORM], own[PL_NTXENT_MISS]};
  }
  __device__ float weight(float s, const row_terms &row, const column_terms &column, int j) const {
    float sum = pl_two_powers(s, steep, row.norm, column.norm);
    if (j == row.positive) sum = -(row.miss + column.miss);
    return j == row.self ? 0 : sum * share;
  }
};

void gather(pl_stream stream, const void *context, const pl_pair_tile *tile, void *states) {
  const pl_ntxent_terms &terms = *static_cast<const pl_ntxent_terms *>(context);
  pl_gather_rows(stream, gather_loss{terms, places(terms, tile)}, tile, states);
}

void weigh(pl_stream stream, const void *context, const pl_pair_tile *tile, const float *row_stats,
           const float *col_stats, pl_dtype type, void *weights) {
  const pl_ntxent_terms &terms = *static_cast<const pl_ntxent_terms *>(context);
  pl_weigh_rows(stream, weigh_loss{terms.steep, terms.share, places(terms, tile)}, tile, row_stats,
                col_stats, type, weights);
}

}  // namespace

const pl_pair_code pl_ntxent_code = {"ntxent", gather, weigh};
