/* Adam with decoupled weight decay (Loshchilov & Hutter, "Decoupled weight decay regularization",
 * ICLR 2019), in the form of PyTorch's torch.optim.AdamW; t is step + 1:
 *
 *   m = beta1 m + (1 - beta1) g
 *   v = beta2 v + (1 - beta2) g²
 *   w = (1 - lr decay) w - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
 */
#include <math.h>

#include "runtime/optim/rule.h"

static void update(const pl_optim_block *block, const pl_optim_rates *rates) {
  float *restrict w = block->master;
  const float *restrict g = block->gradient;
  float *restrict m = block->moment[0];
  float *restrict v = block->moment[1];
  float beta1 = rates->beta1, beta2 = rates->beta2, epsilon = rates->epsilon;
  float rest1 = rates->rest1, rest2 = rates->rest2;
  float correct1 = rates->correct1, correct2 = rates->correct2;
  float lr = rates->lr, kept = (float)(1 - (double)rates->lr * rates->decay);
#pragma omp simd
  for (int i = 0; i < PL_BLOCK; i++) {
    m[i] = beta1 * m[i] + rest1 * g[i];
    v[i] = beta2 * v[i] + rest2 * (g[i] * g[i]);
    float adapted = m[i] * correct1 / (sqrtf(v[i] * correct2) + epsilon);
    w[i] = kept * w[i] - lr * adapted;
  }
}

const pl_optim_rule pl_optim_adamw = {
    .moments = 2,
    .moment_name = {"first", "second"},
    .update = update,
};
