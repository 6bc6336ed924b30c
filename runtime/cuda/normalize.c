/* Rows scaled to unit length: y = x / max(‖x‖, epsilon). */
#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct normalize_kernel {
  pl_kernel head;
  size_t rows, features;
  float epsilon;
  pl_dtype in_type, out_type;
} normalize_kernel;

static const char *normalize_supports(const pl_kernel_spec *spec) {
  bool activations = (spec->in_type == PL_F32 || spec->in_type == PL_BF16) &&
                     (spec->out_type == PL_F32 || spec->out_type == PL_BF16);
  if (!activations) return "L2-normalise needs f32 or bf16";
  if (spec->in_type == PL_F32 && spec->out_type == PL_BF16)
    return "L2-normalise does not narrow f32 to bf16";
  return NULL;
}

static pl_status normalize_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  normalize_kernel *k = (normalize_kernel *)kernel;
  pl_launch_normalize(pl_cuda_stream(), k->in_type, k->out_type, k->rows, k->features, k->epsilon,
                      args->x, args->y);
  return pl_cuda_check("L2-normalise", cudaGetLastError());
}

static pl_status normalize_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  normalize_kernel *k = (normalize_kernel *)kernel;
  if (!args->dx) return PL_OK;
  pl_launch_normalize_gradient(pl_cuda_stream(), k->in_type, k->out_type, k->rows, k->features,
                               k->epsilon, args->x, args->dy, args->dx);
  return pl_cuda_check("L2-normalise's gradient", cudaGetLastError());
}

static const pl_kernel_class normalize_class = {.destroy = pl_kernel_free,
                                                .load = pl_kernel_load_nothing,
                                                .forward = normalize_forward,
                                                .backward = normalize_backward};

static pl_status normalize_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                   pl_kernel_needs *needs) {
  normalize_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (normalize_kernel){.head = {&normalize_class},
                          .rows = spec->rows,
                          .features = pl_shape_elements(spec->op->in_shape),
                          .epsilon = spec->op->epsilon,
                          .in_type = spec->in_type,
                          .out_type = spec->out_type};
  *needs = (pl_kernel_needs){.backward_reads_x = spec->training};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cuda_l2_normalize = {normalize_supports, normalize_prepare};
