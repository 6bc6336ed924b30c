#include "losses/ntxent.h"

#include <float.h>
#include <math.h>

#include "losses/ntxent_rows.h"
#include "losses/row_scan.h"

/* With a = log Σ_{negatives} e^{s/τ} and b = s⁺/τ, a row's loss is log(e^a + e^b) − b = softplus(a
 * − b). Its softmax over k ≠ i is p_ik = e^{s_ik/τ − (b + loss_i)}, so, over N rows,
 *
 *   ∂L/∂s_ij = (p_ij − [j = i⁺]) / (τN)
 *   W_ij     = ∂L/∂s_ij + ∂L/∂s_ji = (p_ij + p_ji − 2[j = i⁺]) / (τN),  W_ii = 0.
 *
 * At the positive, 1 − p_ii⁺ = 1 − e^{−loss_i} is a statistic of its own: the difference would lose
 * all digits once positives win. Exponents are kept in base 2, with log2(e)/τ as one factor. */

enum { FIGURE_LOSS, FIGURE_RIGHT, FIGURE_POSITIVE, FIGURE_CLOSE, FIGURES };

static int64_t positive_of(const pl_ntxent_terms *loss, int64_t row) {
  int64_t samples = loss->leaf_samples;
  return row % (2 * samples) < samples ? row + samples : row - samples;
}

static void begin(const void *context, void *state) {
  const pl_ntxent_terms *loss = context;
  *(pl_ntxent_state *)state =
      (pl_ntxent_state){.top = PL_LOWEST_SIMILARITY, .base = PL_LOWEST_SIMILARITY * loss->steep};
}

/* Takes the row itself and its positive out of the row of a tile, so that negatives are left. */
static void set_apart(const pl_ntxent_terms *loss, const pl_pair_tile *tile, int i,
                      pl_ntxent_state *state) {
  float *s = tile->s + i * tile->stride;
  int64_t self = tile->first_row + i - tile->first_col;
  int64_t positive = positive_of(loss, tile->first_row + i) - tile->first_col;
  if (self >= 0 && self < tile->cols) s[self] = -INFINITY;
  if (positive >= 0 && positive < tile->cols) {
    state->positive = s[positive];
    s[positive] = -INFINITY;
    if (loss->want_uniformity) state->close += exp(4 * state->positive - 4);
  }
}

static void gather(const void *context, const pl_pair_tile *tile, void *states) {
  const pl_ntxent_terms *loss = context;
  for (int i = 0; i < tile->rows; i++) {
    pl_ntxent_state *state = (pl_ntxent_state *)states + i;
    const float *s = tile->s + i * tile->stride;
    set_apart(loss, tile, i, state);
    float top = pl_largest(s, tile->cols, (float)state->top);
    float base = top * loss->steep;
    state->sum =
        state->sum * exp2(state->base - base) + pl_sum_powers(s, tile->cols, loss->steep, base);
    state->top = top;
    state->base = base;
    if (loss->want_uniformity)
      state->close += pl_sum_powers(s, tile->cols, PL_CLOSE_STEEP, PL_CLOSE_STEEP);
  }
}

static void finish(const void *context, const void *state, float *stats, double *figures) {
  const pl_ntxent_terms *loss = context;
  const pl_ntxent_state *row = state;
  double negatives = (row->base + log2(row->sum)) / PL_LOG2_E;
  double positive = row->positive * loss->steep / PL_LOG2_E;
  double gap = negatives - positive;
  double value = gap > 0 ? gap + log1p(exp(-gap)) : log1p(exp(gap));
  stats[PL_NTXENT_NORM] = (float)((positive + value) * PL_LOG2_E);
  stats[PL_NTXENT_MISS] = (float)-expm1(-value);
  figures[FIGURE_LOSS] = value;
  figures[FIGURE_RIGHT] = row->positive > row->top ? 1 : 0;
  figures[FIGURE_POSITIVE] = row->positive;
  figures[FIGURE_CLOSE] = row->close;
}

static void weigh(const void *context, const pl_pair_tile *tile, const float *row_stats,
                  const float *col_stats) {
  const pl_ntxent_terms *loss = context;
  float steep = loss->steep, share = loss->share;
  for (int i = 0; i < tile->rows; i++) {
    float *s = tile->s + i * tile->stride;
    float norm = row_stats[i * PL_NTXENT_STATS + PL_NTXENT_NORM];
#pragma omp simd
    for (int j = 0; j < tile->cols; j++) {
      float forth = pl_exp2f(s[j] * steep - norm);
      float back = pl_exp2f(s[j] * steep - col_stats[j * PL_NTXENT_STATS + PL_NTXENT_NORM]);
      s[j] = (forth + back) * share;
    }
    int64_t self = tile->first_row + i - tile->first_col;
    int64_t positive = positive_of(loss, tile->first_row + i) - tile->first_col;
    if (self >= 0 && self < tile->cols) s[self] = 0;
    if (positive >= 0 && positive < tile->cols)
      s[positive] = -(row_stats[i * PL_NTXENT_STATS + PL_NTXENT_MISS] +
                      col_stats[positive * PL_NTXENT_STATS + PL_NTXENT_MISS]) *
                    share;
  }
}

static pl_pair_loss kind_of(const pl_ntxent_terms *loss) {
  return (pl_pair_loss){
      .name = "ntxent",
      .stats = PL_NTXENT_STATS,
      .figures = FIGURES,
      .state_bytes = sizeof(pl_ntxent_state),
      .context = loss,
      .begin = begin,
      .gather = gather,
      .finish = finish,
      .weigh = weigh,
  };
}

pl_pair_sent pl_ntxent_sent_bytes(const pl_pair_sweep *sweep) {
  const pl_pair_loss kind = kind_of(NULL);
  return pl_pair_sent_bytes(sweep, &kind);
}

pl_status pl_ntxent(pl_pair_sweep *sweep, const float *z, int leaf_samples, double temperature,
                    bool want_uniformity, pl_contrast_figures *figures, float *dz) {
  if (!(temperature > 0) || !isfinite(temperature))
    return PL_FAIL(PL_E_USAGE, "ntxent: temperature %g is not above 0", temperature);
  if (pl_pair_shapes(sweep)->leaf_rows != 2 * leaf_samples)
    return PL_FAIL(PL_E_INTERNAL, "ntxent: %d rows per leaf for %d samples of two views",
                   pl_pair_shapes(sweep)->leaf_rows, leaf_samples);
  double rows = (double)pl_pair_total_rows(sweep);
  const pl_ntxent_terms loss = {
      .leaf_samples = leaf_samples,
      .want_uniformity = want_uniformity,
      .steep = (float)(PL_LOG2_E / temperature),
      .share = (float)(1 / (temperature * rows)),
  };
  const pl_pair_loss kind = kind_of(&loss);
  double sums[FIGURES];
  PL_TRY(pl_pair_gather(sweep, z));
  PL_TRY(pl_pair_statistics(sweep, &kind, sums));
  *figures = (pl_contrast_figures){
      .loss = sums[FIGURE_LOSS] / rows,
      .accuracy = sums[FIGURE_RIGHT] / rows,
      .alignment = 2 - 2 * sums[FIGURE_POSITIVE] / rows,
      .uniformity =
          want_uniformity && rows > 1 ? log(sums[FIGURE_CLOSE] / (rows * (rows - 1))) : NAN,
  };
  return dz ? pl_pair_gradient(sweep, &kind, dz) : PL_OK;
}
