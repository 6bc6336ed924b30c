#include "losses/uniformity.h"

#include <math.h>

#include "losses/row_scan.h"

static void begin(const void *context, void *state) {
  (void)context;
  *(double *)state = 0;
}

static void gather(const void *context, const pl_pair_tile *tile, void *states) {
  (void)context;
  for (int i = 0; i < tile->rows; i++) {
    float *s = tile->s + i * tile->stride;
    int64_t self = tile->first_row + i - tile->first_col;
    if (self >= 0 && self < tile->cols) s[self] = -INFINITY;
    ((double *)states)[i] += pl_sum_powers(s, tile->cols, PL_CLOSE_STEEP, PL_CLOSE_STEEP);
  }
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type of a loss asks for it */
static void finish(const void *context, const void *state, float *stats, double *figures) {
  (void)context;
  (void)stats;
  figures[0] = *(const double *)state;
}

pl_status pl_uniformity(pl_pair_sweep *sweep, const float *z, double *uniformity) {
  const pl_pair_loss closeness = {
      .name = "uniformity",
      .figures = 1,
      .state_bytes = sizeof(double),
      .begin = begin,
      .gather = gather,
      .finish = finish,
  };
  double rows = (double)pl_pair_total_rows(sweep), close;
  PL_TRY(pl_pair_gather(sweep, z));
  PL_TRY(pl_pair_statistics(sweep, &closeness, &close));
  *uniformity = rows > 1 ? log(close / (rows * (rows - 1))) : NAN;
  return PL_OK;
}
