/* The two ways to compute attention. Both as a pl_kernel_maker's `prepare`. */
#ifndef PL_CUDA_ATTENTION_H
#define PL_CUDA_ATTENTION_H

#include "runtime/net/kernel.h"

/* In bf16, for what pl_attention_fused_fits says: scores never reach memory. */
bool pl_attention_fused_fits(const pl_kernel_spec *spec);
pl_status pl_attention_fused_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                     pl_kernel_needs *needs);

/* In f32 or bf16, for all. */
pl_status pl_attention_products_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                        pl_kernel_needs *needs);

#endif
