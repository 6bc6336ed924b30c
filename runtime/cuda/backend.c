#include "runtime/cuda/cuda.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/pointwise.h"

static const pl_kernel_maker *maker_of(pl_op_kind kind) {
  switch (kind) {
    case PL_OP_RELU: return &pl_cuda_relu;
    case PL_OP_ADD: return &pl_cuda_add;
    case PL_OP_CONV:
    case PL_OP_BATCH_NORM:
    case PL_OP_MAX_POOL:
    case PL_OP_AVG_POOL:
    case PL_OP_LINEAR:
    case PL_OP_L2_NORMALIZE:
    case PL_OP_EMBEDDING:
    case PL_OP_POSITIONS:
    case PL_OP_LAYER_NORM:
    case PL_OP_GELU:
    case PL_OP_ATTENTION:
    case PL_OP_SELECT:
    case PL_OP_DROPOUT:
    case PL_OP_INPUT:
    case PL_OP_TOKENS: break;
  }
  return NULL;
}

static const char *cuda_supports(const pl_kernel_spec *spec) {
  const pl_kernel_maker *maker = maker_of(spec->op->kind);
  if (!maker) return "an input is not computed";
  if (spec->rows < 1) return "a kernel needs at least one row";
  return maker->supports(spec);
}

static pl_status cuda_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  const char *reason = cuda_supports(spec);
  if (reason) return PL_FAIL(PL_E_USAGE, "%s: %s", spec->op->name, reason);
  pl_status status = maker_of(spec->op->kind)->prepare(spec, out, needs);
  return pl_context(status, "%s", spec->op->name);
}

static void cuda_destroy(pl_kernel **kernel) {
  if (*kernel) (*kernel)->class->destroy(*kernel);
  *kernel = NULL;
}

static pl_status cuda_load(pl_kernel *kernel, const void *image, const float *buffers) {
  return kernel->class->load(kernel, image, buffers);
}

static pl_status cuda_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  return kernel->class->forward(kernel, args);
}

static pl_status cuda_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  return kernel->class->backward(kernel, args);
}

static pl_status cuda_forward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums) {
  return kernel->class->forward_sums(kernel, args, sums);
}

static pl_status cuda_forward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                    const double *totals, double count) {
  return kernel->class->forward_apply(kernel, args, totals, count);
}

static pl_status cuda_backward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums) {
  return kernel->class->backward_sums(kernel, args, sums);
}

static pl_status cuda_backward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                     const double *totals, double count) {
  return kernel->class->backward_apply(kernel, args, totals, count);
}

const pl_backend *pl_cuda_backend(void) {
  static const pl_backend backend = {.name = "cuda",
                                     .device = &pl_cuda_device,
                                     .supports = cuda_supports,
                                     .prepare = cuda_prepare,
                                     .destroy = cuda_destroy,
                                     .load = cuda_load,
                                     .forward = cuda_forward,
                                     .backward = cuda_backward,
                                     .forward_sums = cuda_forward_sums,
                                     .forward_apply = cuda_forward_apply,
                                     .backward_sums = cuda_backward_sums,
                                     .backward_apply = cuda_backward_apply,
                                     .moments = pl_cuda_moments,
                                     .add = pl_cuda_add_arrays,
                                     .convert = pl_cuda_convert};
  return &backend;
}
