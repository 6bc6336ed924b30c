/* Stochastic gradient descent with momentum, in the form of PyTorch's torch.optim.SGD (dampening 0;
 * Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013,
 * for Nesterov's variant):
 *
 *   d = g + decay w
 *   m = momentum m + d                       (m is zero at first, so the first m is d)
 *   w = w - lr m                             or, Nesterov,  w - lr (d + momentum m)
 *
 * The rate stands outside the momentum, so a change of rate acts at once on all that is stored. */
#include "runtime/optim/rule.h"

static void update(const pl_optim_block *block, const pl_optim_rates *rates) {
  float *restrict w = block->master;
  const float *restrict g = block->gradient;
  float *restrict m = block->moment[0];
  float lr = rates->lr, decay = rates->decay, momentum = rates->momentum;
  float share_of_d = rates->nesterov ? 1 : 0;
  float share_of_m = rates->nesterov ? momentum : 1;
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) {
    float d = g[i] + decay * w[i];
    m[i] = momentum * m[i] + d;
    w[i] -= lr * (share_of_d * d + share_of_m * m[i]);
  }
}

const pl_optim_rule pl_optim_sgd = {
    .moments = 1,
    .moment_name = {"momentum"},
    .update = update,
};
