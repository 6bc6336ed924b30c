/* Attention by kernels of our own that keep scores on the chip (attention_fused.h). Kept for
 * backward: one number for each query and head, and y, of which it makes D. */
#include <limits.h>
#include <math.h>

#include "runtime/base/memory.h"
#include "runtime/base/vexp.h"
#include "runtime/cuda/attention.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct attention_kernel {
  pl_kernel head;
  pl_cuda_attention_shape shape;
} attention_kernel;

static pl_status attention_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  attention_kernel *k = (attention_kernel *)kernel;
  pl_launch_attention(pl_cuda_stream(), &k->shape, args->x, args->y, args->saved);
  return pl_cuda_check("attention", cudaGetLastError());
}

static pl_status attention_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  attention_kernel *k = (attention_kernel *)kernel;
  if (!args->dx) return PL_OK;
  pl_launch_attention_gradient(pl_cuda_stream(), &k->shape, args->x, args->y, args->dy, args->saved,
                               args->scratch, args->dx);
  return pl_cuda_check("gradient of attention", cudaGetLastError());
}

static const pl_kernel_class attention_class = {.destroy = pl_kernel_free,
                                                .load = pl_kernel_load_nothing,
                                                .forward = attention_forward,
                                                .backward = attention_backward};

bool pl_attention_fused_fits(const pl_kernel_spec *spec) {
  const pl_op *op = spec->op;
  int width = op->out_shape.channels / op->heads;
  bool counts = pl_shape_elements(op->in_shape) <= INT_MAX; /* offsets in a row */
  return spec->in_type == PL_BF16 && width % PL_CUDA_HEAD_UNIT == 0 &&
         width <= PL_CUDA_HEAD_LARGEST && counts;
}

static void fill_needs(const pl_kernel_spec *spec, const pl_cuda_attention_shape *s,
                       pl_kernel_needs *needs) {
  size_t queries = (size_t)s->rows * (size_t)s->heads * (size_t)s->length;
  *needs = (pl_kernel_needs){0};
  if (!spec->training) return;
  needs->saved_bytes = queries * sizeof(float);
  needs->scratch_bytes = queries * sizeof(float);
  needs->backward_reads_x = needs->backward_reads_y = true;
}

pl_status pl_attention_fused_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                     pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  attention_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  double root = sqrt((double)op->out_shape.channels / op->heads);
  *k = (attention_kernel){.head = {&attention_class},
                          .shape = {.rows = spec->rows,
                                    .heads = op->heads,
                                    .length = op->in_shape.height,
                                    .width = op->out_shape.channels / op->heads,
                                    .causal = op->causal,
                                    .scale = (float)(1 / root),
                                    .factor = (float)(PL_LOG2_E / root)}};
  fill_needs(spec, &k->shape, needs);
  *out = &k->head;
  return PL_OK;
}
