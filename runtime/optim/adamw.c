/* Adam with decoupled weight decay (Loshchilov & Hutter, "Decoupled weight decay regularization",
 * ICLR 2019), in the form of PyTorch's torch.optim.AdamW; t is step + 1:
 *
 *   m = beta1 m + (1 - beta1) g
 *   v = beta2 v + (1 - beta2) g²
 *   w = (1 - lr decay) w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
 */
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
    pl_optim_adamw_element(&local, g[i], &w_i, &m, &v);
    w[i] = w_i;
    first[i] = m;
    second[i] = v;
  }
}

const pl_optim_rule pl_optim_adamw = {
    .moments = 2,
    .moment_name = {"first", "second"},
    .update = update,
};
