#include "runtime/cuda/cuda.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/pointwise.h"

static const pl_kernel_maker *maker_of(pl_op_kind kind) {
  switch (kind) {
    case PL_OP_RELU: return &pl_cuda_relu;
    case PL_OP_ADD: return &pl_cuda_add;
    case PL_OP_ATTENTION: return &pl_cuda_attention;
    case PL_OP_GELU: return &pl_cuda_gelu;
    case PL_OP_LINEAR: return &pl_cuda_linear;
    case PL_OP_CONV: return &pl_cuda_conv;
    case PL_OP_BATCH_NORM: return &pl_cuda_batch_norm;
    case PL_OP_MAX_POOL: return &pl_cuda_max_pool;
    case PL_OP_AVG_POOL: return &pl_cuda_avg_pool;
    case PL_OP_L2_NORMALIZE: return &pl_cuda_l2_normalize;
    case PL_OP_EMBEDDING: return &pl_cuda_embedding;
    case PL_OP_POSITIONS: return &pl_cuda_positions;
    case PL_OP_LAYER_NORM: return &pl_cuda_layer_norm;
    case PL_OP_SELECT: return &pl_cuda_select;
    case PL_OP_DROPOUT: return &pl_cuda_dropout;
    case PL_OP_INPUT:
    case PL_OP_TOKENS: break;
  }
  return NULL;
}

static const char *cuda_supports(const pl_kernel_spec *spec) {
  return pl_kernel_supports(maker_of(spec->op->kind), spec);
}

static pl_status cuda_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  return pl_kernel_prepare(maker_of(spec->op->kind), spec, out, needs);
}

const pl_backend *pl_cuda_backend(void) {
  static const pl_backend backend = {.name = "cuda",
                                     .device = &pl_cuda_device,
                                     .supports = cuda_supports,
                                     .prepare = cuda_prepare,
                                     .destroy = pl_kernel_destroy,
                                     .load = pl_kernel_load,
                                     .forward = pl_kernel_forward,
                                     .backward = pl_kernel_backward,
                                     .forward_sums = pl_kernel_forward_sums,
                                     .forward_apply = pl_kernel_forward_apply,
                                     .backward_sums = pl_kernel_backward_sums,
                                     .backward_apply = pl_kernel_backward_apply,
                                     .moments = pl_cuda_moments,
                                     .add = pl_cuda_add_arrays,
                                     .convert = pl_cuda_convert};
  return &backend;
}

const pl_backend *pl_cuda_planning_backend(void) {
  static pl_backend backend;
  backend = *pl_cuda_backend();
  backend.device = &pl_planned_device;
  return &backend;
}
