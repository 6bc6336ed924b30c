/* Attention: for each row and head, probabilities P = softmax(Q Kᵀ / sqrt(width)) and Y = P V. */
#include "runtime/cuda/attention.h"

#include "runtime/cuda/kernel.h"

static pl_status attention_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                   pl_kernel_needs *needs) {
  return pl_attention_fused_fits(spec) ? pl_attention_fused_prepare(spec, out, needs)
                                       : pl_attention_products_prepare(spec, out, needs);
}

const pl_kernel_maker pl_cuda_attention = {pl_kernel_same_type, attention_prepare};
