/* Stochastic gradient descent with momentum, in the form of PyTorch's torch.optim.SGD (dampening 0;
 * Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013,
 * for Nesterov's variant):
 *
 *   d = g + decay w
 *   m = momentum m + d                       (m is zero at first, so the first m is d)
 *   w = w - lr m                             or, Nesterov,  w - lr (d + momentum m)
 *
 * The rate stands outside the momentum, so a change of rate acts at once on all that is stored. */
#include "runtime/optim/element.h"

static void update(const pl_optim_block *block, const pl_optim_rates *rates) {
  float *restrict w = block->master;
  const float *restrict g = block->gradient;
  float *restrict m = block->moment[0];
  const pl_optim_rates local = *rates; /* no reload in the loop */
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) {
    float w_i = w[i], m_i = m[i];
    pl_optim_sgd_element(&local, g[i], &w_i, &m_i);
    w[i] = w_i;
    m[i] = m_i;
  }
}

const pl_optim_rule pl_optim_sgd = {
    .moments = 1,
    .moment_name = {"momentum"},
    .update = update,
};
