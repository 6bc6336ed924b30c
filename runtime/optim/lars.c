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
#include "runtime/optim/rule.h"

static void direction(const pl_optim_block *block, const pl_optim_rates *rates, float *out) {
  const float *restrict w = block->master;
  const float *restrict g = block->gradient;
  float *restrict d = out;
  float decay = rates->decay;
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) d[i] = g[i] + decay * w[i];
}

static void update(const pl_optim_block *block, const pl_optim_rates *rates) {
  float *restrict w = block->master;
  const float *restrict g = block->gradient;
  float *restrict m = block->moment[0];
  float lr = rates->lr, decay = rates->decay, momentum = rates->momentum;
  float share_of_d = rates->nesterov ? 1 : 0;
  float share_of_m = rates->nesterov ? momentum : 1;
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) {
    float d = lr * (g[i] + decay * w[i]);
    m[i] = momentum * m[i] + d;
    w[i] -= share_of_d * d + share_of_m * m[i];
  }
}

const pl_optim_rule pl_optim_lars = {
    .moments = 1,
    .moment_name = {"momentum"},
    .direction = direction,
    .update = update,
};
