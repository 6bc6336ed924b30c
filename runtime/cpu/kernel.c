#include "runtime/cpu/kernel.h"

#include "runtime/base/memory.h"

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
