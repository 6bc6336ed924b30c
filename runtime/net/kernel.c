#include "runtime/net/kernel.h"

#include "runtime/base/memory.h"

const char *pl_kernel_supports(const pl_kernel_maker *maker, const pl_kernel_spec *spec) {
  if (!maker) return "this operation is not computed here";
  if (spec->rows < 1) return "a kernel needs at least one row";
  return maker->supports(spec);
}

pl_status pl_kernel_prepare(const pl_kernel_maker *maker, const pl_kernel_spec *spec,
                            pl_kernel **out, pl_kernel_needs *needs) {
  const char *reason = pl_kernel_supports(maker, spec);
  if (reason) return PL_FAIL(PL_E_USAGE, "%s: %s", spec->op->name, reason);
  return maker->prepare(spec, out, needs);
}

void pl_kernel_destroy(pl_kernel **kernel) {
  if (*kernel) (*kernel)->class->destroy(*kernel);
  *kernel = NULL;
}

pl_status pl_kernel_load(pl_kernel *kernel, const void *image, const float *buffers) {
  return kernel->class->load(kernel, image, buffers);
}

pl_status pl_kernel_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  return kernel->class->forward(kernel, args);
}

pl_status pl_kernel_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  return kernel->class->backward(kernel, args);
}

pl_status pl_kernel_forward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums) {
  return kernel->class->forward_sums(kernel, args, sums);
}

pl_status pl_kernel_forward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                  const double *totals, double count) {
  return kernel->class->forward_apply(kernel, args, totals, count);
}

pl_status pl_kernel_backward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums) {
  return kernel->class->backward_sums(kernel, args, sums);
}

pl_status pl_kernel_backward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                   const double *totals, double count) {
  return kernel->class->backward_apply(kernel, args, totals, count);
}

void pl_kernel_free(pl_kernel *kernel) { pl_free(kernel); }

pl_status pl_kernel_load_nothing(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)kernel, (void)image, (void)buffers;
  return PL_OK;
}

const char *pl_kernel_same_type(const pl_kernel_spec *spec) {
  bool activations = spec->in_type == PL_F32 || spec->in_type == PL_BF16;
  if (!activations || spec->in_type != spec->out_type)
    return "it needs f32 or bf16, the same for input and output";
  return NULL;
}
