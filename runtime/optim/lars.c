/* Layer-wise adaptive rate scaling (You, Gitman & Ginsburg, "Large batch training of convolutional
 * networks", 2017), in the form of SimCLR's code (google-research/simclr, lars_optimizer.py, with
 * its defaults: classic momentum, the rate inside the momentum; no decay and no ratio for biases
 * and gains):
 *
 *   d = g + decay w
 *   r = trust |w| / |d| over the parameter, 1 where either norm is 0
 *   m = momentum m + lr r d
 *   w = w - m                                or, Nesterov,  w - (momentum m + lr r d)
 */
#include "runtime/optim/element.h"

static void update(const pl_optim_block *block, const pl_optim_rates *rates) {
  float *restrict w = block->master;
  const float *restrict g = block->gradient;
  float *restrict m = block->moment[0];
  const pl_optim_rates local = *rates; /* no reload in the loop */
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) {
    float w_i = w[i], m_i = m[i];
    pl_optim_lars_element(&local, g[i], &w_i, &m_i);
    w[i] = w_i;
    m[i] = m_i;
  }
}

static void direction(const pl_optim_block *block, const pl_optim_rates *rates, float *out) {
  const float *restrict w = block->master;
  const float *restrict g = block->gradient;
  float *restrict d = out;
  const pl_optim_rates local = *rates;
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) d[i] = pl_optim_lars_direction(&local, g[i], w[i]);
}

const pl_optim_rule pl_optim_lars = {
    .moments = 1,
    .moment_name = {"momentum"},
    .direction = direction,
    .update = update,
};
