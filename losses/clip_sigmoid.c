#include <math.h>

#include "losses/clip_kinds.h"
#include "losses/row_scan.h"
#include "losses/vlog.h"

/* With l = a s + b, a = e^t, the loss is 1/B (Σ_i softplus(−l_ii) + Σ_{i≠j} softplus(l_ij)), and
 *
 *   g_ij = ∂L/∂l_ij = σ(l_ij)/B for i ≠ j, −σ(−l_ii)/B for partners,
 *   ∂L/∂s_ij = a g_ij,  ∂L/∂t = Σ_ij a s_ij g_ij,  ∂L/∂b = Σ_ij g_ij.
 *
 * No row needs to know of others: there are no statistics. The sums over all pairs are complete in
 * the sweep of images over texts; its mirror only looks which partners are the most similar. Both
 * tails keep their digits: with e = e^{−|l|}, softplus(l) = max(l, 0) + log(1 + e), and σ(l) is
 * 1/(1 + e) or e/(1 + e). */

static const float LN2 = (float)(1 / PL_LOG2_E);

static void begin(const void *context, void *state) {
  (void)context;
  *(pl_sigmoid_state *)state = (pl_sigmoid_state){.top = PL_LOWEST_SIMILARITY};
}

/* σ of u in base 2, and e = 2^{−|u|}. */
static inline float sigmoid(float u, float *e) {
  *e = pl_exp2f(-fabsf(u));
  float above = 1 / (1 + *e);
  return u > 0 ? above : *e * above;
}

/* Sums of a run of columns, by lanes. */
typedef struct run_sums {
  float loss[PL_LANES], open[PL_LANES], weighted[PL_LANES];
} run_sums;

static inline void add_pair(const pl_clip_terms *terms, float s, int lane, run_sums *sums) {
  float e, u = s * terms->steep + terms->shift;
  float share = sigmoid(u, &e);
  sums->loss[lane] += (u > 0 ? u * LN2 : 0) + pl_log1pf(e);
  sums->open[lane] += share;
  sums->weighted[lane] += share * s;
}

static void take_run(const pl_clip_terms *terms, const float *s, int n, pl_sigmoid_state *state) {
  const pl_clip_terms own = *terms;
  run_sums sums = {0};
  int j = 0;
  for (; j + PL_LANES <= n; j += PL_LANES) {
#pragma omp simd
    for (int k = 0; k < PL_LANES; k++) add_pair(&own, s[j + k], k, &sums);
  }
  for (int k = 0; j + k < n; k++) add_pair(&own, s[j + k], k, &sums);
  state->loss += pl_fold_f32(sums.loss);
  state->open += pl_fold_f32(sums.open);
  state->weighted += pl_fold_f32(sums.weighted);
  state->top = pl_largest(s, n, state->top);
}

static void gather(const void *context, const pl_pair_tile *tile, void *states) {
  for (int i = 0; i < tile->rows; i++) {
    pl_sigmoid_state *state = (pl_sigmoid_state *)states + i;
    const float *s = tile->s + i * tile->stride;
    int partner = pl_clip_partner(tile, i);
    take_run(context, s, partner, state);
    if (partner == tile->cols) continue;
    state->partner = s[partner];
    take_run(context, s + partner + 1, tile->cols - partner - 1, state);
  }
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type of a loss asks for it */
static void finish(const void *context, const void *state, float *stats, double *figures) {
  (void)stats;
  const pl_clip_terms *terms = context;
  const pl_sigmoid_state *row = state;
  double logit = row->partner * terms->scale + terms->bias;
  double miss = 1 / (1 + exp(logit));
  figures[PL_CLIP_LOSS] = row->loss + (logit < 0 ? log1p(exp(logit)) - logit : log1p(exp(-logit)));
  figures[PL_CLIP_RIGHT] = row->partner > row->top ? 1 : 0;
  figures[PL_CLIP_PARTNER] = row->partner;
  figures[PL_CLIP_BY_SCALE] = (row->weighted - miss * row->partner) * terms->scale;
  figures[PL_CLIP_BY_BIAS] = row->open - miss;
}

/* The mirror: whether the partner is the most similar. */
static void gather_top(const void *context, const pl_pair_tile *tile, void *states) {
  (void)context;
  for (int i = 0; i < tile->rows; i++) {
    pl_sigmoid_state *state = (pl_sigmoid_state *)states + i;
    const float *s = tile->s + i * tile->stride;
    int partner = pl_clip_partner(tile, i);
    state->top = pl_largest(s, partner, state->top);
    if (partner == tile->cols) continue;
    state->partner = s[partner];
    state->top = pl_largest(s + partner + 1, tile->cols - partner - 1, state->top);
  }
}

/* NOLINTNEXTLINE(readability-non-const-parameter): likewise */
static void finish_top(const void *context, const void *state, float *stats, double *figures) {
  (void)context;
  (void)stats;
  const pl_sigmoid_state *row = state;
  for (int k = 0; k < PL_CLIP_FIGURES; k++) figures[k] = 0;
  figures[PL_CLIP_RIGHT] = row->partner > row->top ? 1 : 0;
}

static void weigh(const void *context, const pl_pair_tile *tile, const float *row_stats,
                  const float *col_stats) {
  (void)row_stats;
  (void)col_stats;
  const pl_clip_terms *terms = context;
  float steep = terms->steep, shift = terms->shift, share = terms->share, e;
  for (int i = 0; i < tile->rows; i++) {
    float *s = tile->s + i * tile->stride;
    int partner = pl_clip_partner(tile, i);
    float own = partner < tile->cols ? s[partner] : 0;
#pragma omp simd private(e)
    for (int j = 0; j < tile->cols; j++) s[j] = sigmoid(s[j] * steep + shift, &e) * share;
    if (partner < tile->cols) s[partner] = -sigmoid(-(own * steep + shift), &e) * share;
  }
}

void pl_clip_sigmoid_kinds(const pl_clip_terms *terms, pl_pair_loss *images, pl_pair_loss *texts) {
  *images = (pl_pair_loss){
      .name = "siglip",
      .figures = PL_CLIP_FIGURES,
      .state_bytes = sizeof(pl_sigmoid_state),
      .context = terms,
      .begin = begin,
      .gather = gather,
      .finish = finish,
      .weigh = weigh,
  };
  *texts = *images;
  texts->name = "siglip, texts";
  texts->gather = gather_top;
  texts->finish = finish_top;
}
