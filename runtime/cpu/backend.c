#include <stdbool.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "runtime/cpu/cpu.h"
#include "runtime/cpu/kernel.h"
#include "runtime/cpu/pointwise.h"

static const pl_kernel_maker *maker_of(pl_op_kind kind) {
  switch (kind) {
    case PL_OP_CONV: return &pl_cpu_conv;
    case PL_OP_BATCH_NORM: return &pl_cpu_batch_norm;
    case PL_OP_RELU: return &pl_cpu_relu;
    case PL_OP_ADD: return &pl_cpu_add;
    case PL_OP_MAX_POOL: return &pl_cpu_max_pool;
    case PL_OP_AVG_POOL: return &pl_cpu_avg_pool;
    case PL_OP_LINEAR: return &pl_cpu_linear;
    case PL_OP_L2_NORMALIZE: return &pl_cpu_l2_normalize;
    case PL_OP_EMBEDDING: return &pl_cpu_embedding;
    case PL_OP_POSITIONS: return &pl_cpu_positions;
    case PL_OP_LAYER_NORM: return &pl_cpu_layer_norm;
    case PL_OP_GELU: return &pl_cpu_gelu;
    case PL_OP_ATTENTION: return &pl_cpu_attention;
    case PL_OP_SELECT: return &pl_cpu_select;
    case PL_OP_DROPOUT: return &pl_cpu_dropout;
    case PL_OP_INPUT:
    case PL_OP_TOKENS: break;
  }
  return NULL;
}

static const char *cpu_supports(const pl_kernel_spec *spec) {
  return pl_kernel_supports(maker_of(spec->op->kind), spec);
}

static pl_status cpu_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  return pl_kernel_prepare(maker_of(spec->op->kind), spec, out, needs);
}

/* A single element has no variance either way. */
static pl_status cpu_moments(double *statistic, const double *totals, size_t channels,
                             double count) {
  double unbiased = count > 1 ? count / (count - 1) : 1;
  for (size_t c = 0; c < channels; c++) {
    double mean = totals[c] / count;
    double biased = totals[channels + c] / count - mean * mean;
    statistic[c] = mean;
    statistic[channels + c] = biased > 0 ? biased * unbiased : 0;
  }
  return PL_OK;
}

const pl_backend *pl_cpu_backend(void) {
  static const pl_backend backend = {.name = "cpu",
                                     .device = &pl_host_device,
                                     .supports = cpu_supports,
                                     .prepare = cpu_prepare,
                                     .destroy = pl_kernel_destroy,
                                     .load = pl_kernel_load,
                                     .forward = pl_kernel_forward,
                                     .backward = pl_kernel_backward,
                                     .forward_sums = pl_kernel_forward_sums,
                                     .forward_apply = pl_kernel_forward_apply,
                                     .backward_sums = pl_kernel_backward_sums,
                                     .backward_apply = pl_kernel_backward_apply,
                                     .moments = cpu_moments,
                                     .add = pl_pointwise_add,
                                     .convert = pl_pointwise_convert};
  return &backend;
}

#if defined(__x86_64__)

/* CPUID leaf 7: AVX512_BF16 is bit 5 of EAX in subleaf 1, AMX-BF16 bit 22 of EDX in subleaf 0
 * (Intel Architecture Instruction Set Extensions Programming Reference). */
bool pl_cpu_has_bf16(void) {
  unsigned a, b, c, d;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1)) return true;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
}
#else
bool pl_cpu_has_bf16(void) { return false; }
#endif
