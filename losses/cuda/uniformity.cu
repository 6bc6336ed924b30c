/* Closeness of all rows, for losses/uniformity.c. */
#include "losses/cuda/powers.h"
#include "losses/cuda/rows.h"

namespace {

/* The largest similarity plays no part: no power is above 1. */
struct gather_closeness {
  using state = double;
  enum { SUMS = 1 };
  int offset;

  __device__ bool skips(int i, int j) const { return j == offset + i; }
  __device__ float top(const state &) const { return 0; }
  __device__ void raise(pl_row_part<SUMS> &, float) const {}
  template <int N>
  __device__ void add(pl_row_part<SUMS> &part, const float (&s)[N]) const {
    part.sum[0] += pl_powers(s, PL_CLOSE_STEEP, PL_CLOSE_STEEP);
  }
  __device__ void merge(state &row, const pl_row_part<SUMS> &part, int, const float *, int) const {
    row += (double)part.sum[0];
  }
};

void gather(pl_stream stream, const void *, const pl_pair_tile *tile, void *states) {
  pl_gather_rows(stream, gather_closeness{pl_tile_offset(tile)}, tile, states);
}

}  // namespace

const pl_pair_code pl_uniformity_code = {"uniformity", gather, nullptr};
