/* Kernels of the processor backend: what each file of this folder hands to backend.c. */
#ifndef PL_CPU_KERNEL_H
#define PL_CPU_KERNEL_H

#include "runtime/net/kernel.h"

extern const pl_kernel_maker pl_cpu_conv, pl_cpu_linear, pl_cpu_batch_norm, pl_cpu_relu, pl_cpu_add,
    pl_cpu_max_pool, pl_cpu_avg_pool, pl_cpu_l2_normalize, pl_cpu_embedding, pl_cpu_positions,
    pl_cpu_layer_norm, pl_cpu_gelu, pl_cpu_attention, pl_cpu_select, pl_cpu_dropout;

#endif
