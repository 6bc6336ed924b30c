#include <math.h>

#include "losses/clip_kinds.h"
#include "losses/row_scan.h"

/* Of N = 2B rows, images and texts, each has the loss −log p_ii, p the softmax of a·s over its
 * columns, a = e^t. With n = log Σ_{j≠i} e^{a s_ij} that is softplus(n − a s_ii). For image i and
 * text j, q the softmax of the text's row,
 *
 *   ∂L/∂s_ij = a/N (p_ij + q_ij − 2[i = j]),
 *   ∂L/∂t    = 1/N Σ_rows a (Σ_j p_ij s_ij − s_ii) = 1/N Σ_rows Σ_{j≠i} p_ij a (s_ij − s_ii).
 *
 * Once partners win, p_ii − 1 and Σ_j p_ij s_ij − s_ii lose all their digits as differences.
 * Therefore 1 − p_ii = 1 − e^{−loss} is a statistic of its own, and ∂L/∂t comes from the columns
 * j ≠ i alone: (1 − p_ii) times their mean gap a (s_ij − s_ii). That mean is gathered relative to
 * the largest similarity, where all terms have one sign. Exponents are kept in base 2. */

static void begin(const void *context, void *state) {
  const pl_clip_terms *terms = context;
  *(pl_softmax_state *)state = (pl_softmax_state){
      .top = PL_LOWEST_SIMILARITY,
      .base = PL_LOWEST_SIMILARITY * terms->steep,
  };
}

/* The two sums over a run of columns. */
static void sum_run(const float *s, int n, float steep, float base, float *sum, float *weighted) {
  float power[PL_LANES] = {0}, product[PL_LANES] = {0};
  int j = 0;
  for (; j + PL_LANES <= n; j += PL_LANES) {
    for (int k = 0; k < PL_LANES; k++) {
      float u = s[j + k] * steep - base;
      float e = pl_exp2f(u);
      power[k] += e;
      product[k] += e * u;
    }
  }
  for (int k = 0; j + k < n; k++) {
    float u = s[j + k] * steep - base;
    float e = pl_exp2f(u);
    power[k] += e;
    product[k] += e * u;
  }
  *sum = pl_fold_f32(power);
  *weighted = pl_fold_f32(product);
}

/* A higher base makes every u smaller by `fall`. */
static void take_run(const pl_clip_terms *terms, const float *s, int n, pl_softmax_state *state) {
  float sum, weighted;
  float top = pl_largest(s, n, state->top);
  float base = top * terms->steep;
  sum_run(s, n, terms->steep, base, &sum, &weighted);
  double fall = base - state->base, shrink = exp2(-fall);
  state->weighted = (state->weighted - state->sum * fall) * shrink + weighted;
  state->sum = state->sum * shrink + sum;
  state->top = top;
  state->base = base;
}

static void gather(const void *context, const pl_pair_tile *tile, void *states) {
  for (int i = 0; i < tile->rows; i++) {
    pl_softmax_state *state = (pl_softmax_state *)states + i;
    const float *s = tile->s + i * tile->stride;
    int partner = pl_clip_partner(tile, i);
    take_run(context, s, partner, state);
    if (partner == tile->cols) continue;
    state->partner = s[partner];
    take_run(context, s + partner + 1, tile->cols - partner - 1, state);
  }
}

static void finish(const void *context, const void *state, float *stats, double *figures) {
  const pl_clip_terms *terms = context;
  const pl_softmax_state *row = state;
  double partner = row->partner * terms->steep / PL_LOG2_E;
  double others = (row->base + log2(row->sum)) / PL_LOG2_E;
  double gap = others - partner;
  double value = gap > 0 ? gap + log1p(exp(-gap)) : log1p(exp(gap));
  double miss = -expm1(-value);
  /* A batch of one has no others. */
  double mean = row->sum == 0 ? 0 : (row->base + row->weighted / row->sum) / PL_LOG2_E - partner;
  stats[PL_SOFTMAX_NORM] = (float)((partner + value) * PL_LOG2_E);
  stats[PL_SOFTMAX_MISS] = (float)miss;
  figures[PL_CLIP_LOSS] = value;
  figures[PL_CLIP_RIGHT] = row->partner > row->top ? 1 : 0;
  figures[PL_CLIP_PARTNER] = row->partner;
  figures[PL_CLIP_BY_SCALE] = miss * mean;
  figures[PL_CLIP_BY_BIAS] = 0;
}

static void weigh(const void *context, const pl_pair_tile *tile, const float *row_stats,
                  const float *col_stats) {
  const pl_clip_terms *terms = context;
  float steep = terms->steep, share = terms->share;
  for (int i = 0; i < tile->rows; i++) {
    float *s = tile->s + i * tile->stride;
    float norm = row_stats[i * PL_SOFTMAX_STATS + PL_SOFTMAX_NORM];
#pragma omp simd
    for (int j = 0; j < tile->cols; j++) {
      float by_row = pl_exp2f(s[j] * steep - norm);
      float by_col = pl_exp2f(s[j] * steep - col_stats[j * PL_SOFTMAX_STATS + PL_SOFTMAX_NORM]);
      s[j] = (by_row + by_col) * share;
    }
    int partner = pl_clip_partner(tile, i);
    if (partner < tile->cols)
      s[partner] = -(row_stats[i * PL_SOFTMAX_STATS + PL_SOFTMAX_MISS] +
                     col_stats[partner * PL_SOFTMAX_STATS + PL_SOFTMAX_MISS]) *
                   share;
  }
}

void pl_clip_softmax_kinds(const pl_clip_terms *terms, pl_pair_loss *images, pl_pair_loss *texts) {
  *images = *texts = (pl_pair_loss){
      .name = "clip",
      .stats = PL_SOFTMAX_STATS,
      .figures = PL_CLIP_FIGURES,
      .state_bytes = sizeof(pl_softmax_state),
      .context = terms,
      .begin = begin,
      .gather = gather,
      .finish = finish,
      .weigh = weigh,
  };
}
