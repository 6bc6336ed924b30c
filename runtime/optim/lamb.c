/* Layer-wise adaptive moments (You et al., "Large batch optimization for deep learning: training
 * BERT in 76 minutes", ICLR 2020), algorithm 2 with bias correction and φ the identity; t is
 * step + 1:
 *
 *   m = beta1 m + (1 - beta1) g
 *   v = beta2 v + (1 - beta2) g²
 *   u = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) + decay w
 *   r = |w| / |u| over the parameter, 1 where either norm is 0
 *   w = w - lr r u
 *
 * Biases and gains have no decay and r = 1.
 *
 * The reading pass makes u from moments that it does not store, and the writing pass makes it
 * again: no third vector, and a step given up in between leaves the moments as they were. */
#include <math.h>

#include "runtime/optim/rule.h"

/* u of one element; gives the new moments. */
static inline float direction_of(float w, float g, float *m, float *v,
                                 const pl_optim_rates *rates) {
  *m = rates->beta1 * *m + rates->rest1 * g;
  *v = rates->beta2 * *v + rates->rest2 * (g * g);
  return *m * rates->correct1 / (sqrtf(*v * rates->correct2) + rates->epsilon) + rates->decay * w;
}

static void direction(const pl_optim_block *block, const pl_optim_rates *rates, float *out) {
  const float *restrict w = block->master;
  const float *restrict g = block->gradient;
  const float *restrict first = block->moment[0];
  const float *restrict second = block->moment[1];
  float *restrict u = out;
  const pl_optim_rates local = *rates; /* no reload in the loop */
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) {
    float m = first[i], v = second[i];
    u[i] = direction_of(w[i], g[i], &m, &v, &local);
  }
}

static void update(const pl_optim_block *block, const pl_optim_rates *rates) {
  float *restrict w = block->master;
  const float *restrict g = block->gradient;
  float *restrict first = block->moment[0];
  float *restrict second = block->moment[1];
  const pl_optim_rates local = *rates;
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) {
    float m = first[i], v = second[i];
    float u = direction_of(w[i], g[i], &m, &v, &local);
    first[i] = m;
    second[i] = v;
    w[i] -= local.lr * u;
  }
}

const pl_optim_rule pl_optim_lamb = {
    .moments = 2,
    .moment_name = {"first", "second"},
    .direction = direction,
    .update = update,
};
