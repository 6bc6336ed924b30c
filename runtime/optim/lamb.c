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
#include "runtime/optim/element.h"

static void update(const pl_optim_block *block, const pl_optim_rates *rates) {
  float *restrict w = block->master;
  const float *restrict g = block->gradient;
  float *restrict first = block->moment[0];
  float *restrict second = block->moment[1];
  const pl_optim_rates local = *rates; /* no reload in the loop */
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) {
    float w_i = w[i], m = first[i], v = second[i];
    pl_optim_lamb_element(&local, g[i], &w_i, &m, &v);
    w[i] = w_i;
    first[i] = m;
    second[i] = v;
  }
}

static void direction(const pl_optim_block *block, const pl_optim_rates *rates, float *out) {
  const float *restrict w = block->master;
  const float *restrict g = block->gradient;
  const float *restrict first = block->moment[0];
  const float *restrict second = block->moment[1];
  float *restrict u = out;
  const pl_optim_rates local = *rates;
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) {
    float m = first[i], v = second[i];
    u[i] = pl_optim_lamb_direction(&local, g[i], w[i], &m, &v);
  }
}

const pl_optim_rule pl_optim_lamb = {
    .moments = 2,
    .moment_name = {"first", "second"},
    .direction = direction,
    .update = update,
};
