/* GELU, exact and quick. */
#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct gelu_kernel {
  pl_kernel head;
  bool quick;
  pl_dtype type;
  size_t elements;
} gelu_kernel;

static pl_status gelu_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  gelu_kernel *k = (gelu_kernel *)kernel;
  pl_launch_gelu(pl_cuda_stream(), k->type, k->quick, args->y, args->x, k->elements);
  return pl_cuda_check("GELU", cudaGetLastError());
}

static pl_status gelu_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  gelu_kernel *k = (gelu_kernel *)kernel;
  if (!args->dx) return PL_OK;
  pl_launch_gelu_gradient(pl_cuda_stream(), k->type, k->quick, args->dx, args->x, args->dy,
                          k->elements);
  return pl_cuda_check("gradient of GELU", cudaGetLastError());
}

static const pl_kernel_class gelu_class = {.destroy = pl_kernel_free,
                                           .load = pl_kernel_load_nothing,
                                           .forward = gelu_forward,
                                           .backward = gelu_backward};

static pl_status gelu_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  gelu_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (gelu_kernel){.head = {&gelu_class},
                     .quick = spec->op->gelu == PL_GELU_QUICK,
                     .type = spec->in_type,
                     .elements = (size_t)spec->rows * pl_shape_elements(spec->op->in_shape)};
  *needs = (pl_kernel_needs){.backward_reads_x = spec->training};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cuda_gelu = {pl_kernel_same_type, gelu_prepare};
