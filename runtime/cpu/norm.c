/* Batch norm, with the skip value and the relu that compile fused into it (norm_passes.h). */
#include <math.h>

#include "runtime/base/memory.h"
#include "runtime/cpu/kernel.h"
#include "runtime/cpu/norm_passes.h"

typedef struct norm_kernel {
  pl_kernel head;
  const pl_op *op;
  const pl_space *space;
  pl_norm_shape shape;
  int64_t chunks;
  const float *gain, *bias; /* in the compute image */
  const float *mean;        /* inference: running mean, in the buffer vector */
  float *scale;             /* inference: gain / sqrt(running variance + epsilon) */
} norm_kernel;

/* Scratch of a training call: sums of chunks, then per-channel factors. */
typedef struct norm_scratch {
  double *partial;
  float *scale, *offset, *slope;
} norm_scratch;

/* Kept from forward to backward. */
typedef struct norm_saved {
  float *mean, *deviation_inverse;
} norm_saved;

static norm_scratch scratch_of(const norm_kernel *k, void *scratch) {
  int channels = k->shape.channels;
  double *partial = scratch;
  float *scale = (float *)(partial + k->chunks * 2 * channels);
  return (norm_scratch){partial, scale, scale + channels, scale + 2 * (size_t)channels};
}

static norm_saved saved_of(const norm_kernel *k, void *saved) {
  return (norm_saved){saved, (float *)saved + k->shape.channels};
}

static const char *norm_supports(const pl_kernel_spec *spec) {
  if (spec->in_type == PL_U8 || spec->out_type == PL_U8) return "batch norm needs f32 or bf16";
  if (spec->in_type == PL_F32 && spec->out_type == PL_BF16)
    return "batch norm does not narrow f32 to bf16";
  return NULL;
}

static void norm_destroy(pl_kernel *kernel) {
  norm_kernel *k = (norm_kernel *)kernel;
  pl_free(k->scale);
  pl_free(k);
}

static pl_status norm_load(pl_kernel *kernel, const void *image, const float *buffers) {
  norm_kernel *k = (norm_kernel *)kernel;
  k->gain = pl_kernel_param(k->space, k->op->weight, image);
  k->bias = pl_kernel_param(k->space, k->op->bias, image);
  if (!k->scale) return PL_OK;
  k->mean = buffers + pl_space_buffer(k->space, k->op->running_mean)->offset;
  const float *variance = buffers + pl_space_buffer(k->space, k->op->running_var)->offset;
  for (int c = 0; c < k->shape.channels; c++)
    k->scale[c] = (float)(k->gain[c] / sqrt((double)variance[c] + k->op->epsilon));
  return PL_OK;
}

static pl_status norm_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  norm_kernel *k = (norm_kernel *)kernel;
  pl_norm_apply(&k->shape, (pl_norm_line){k->mean, k->scale, k->bias}, args->x, args->skip,
                args->y);
  return PL_OK;
}

static pl_status norm_forward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums) {
  norm_kernel *k = (norm_kernel *)kernel;
  pl_norm_sum(&k->shape, args->x, scratch_of(k, args->scratch).partial, sums);
  return PL_OK;
}

static pl_norm_line line_of(const norm_kernel *k, norm_saved saved, float *scale) {
  for (int c = 0; c < k->shape.channels; c++) scale[c] = k->gain[c] * saved.deviation_inverse[c];
  return (pl_norm_line){saved.mean, scale, k->bias};
}

static pl_status norm_forward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                    const double *totals, double count) {
  norm_kernel *k = (norm_kernel *)kernel;
  norm_saved saved = saved_of(k, args->saved);
  for (int c = 0; c < k->shape.channels; c++) {
    double mean = totals[c] / count;
    double variance = totals[k->shape.channels + c] / count - mean * mean;
    if (variance < 0) variance = 0; /* rounding; a NaN stays */
    saved.mean[c] = (float)mean;
    saved.deviation_inverse[c] = (float)(1 / sqrt(variance + k->op->epsilon));
  }
  pl_norm_line line = line_of(k, saved, scratch_of(k, args->scratch).scale);
  pl_norm_apply(&k->shape, line, args->x, args->skip, args->y);
  return PL_OK;
}

static pl_status norm_backward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums) {
  norm_kernel *k = (norm_kernel *)kernel;
  norm_saved saved = saved_of(k, args->saved);
  norm_scratch scratch = scratch_of(k, args->scratch);
  pl_norm_sum_gradient(&k->shape, line_of(k, saved, scratch.scale), args->x, args->y, args->dy,
                       scratch.partial, sums);
  double *products = sums + k->shape.channels;
  for (int c = 0; c < k->shape.channels; c++) {
    products[c] *= saved.deviation_inverse[c];
    args->dbias[c] = (float)sums[c];
    args->dweight[c] = (float)products[c];
  }
  return PL_OK;
}

/* dx = gain / σ · (g - Σg / n - x̂ Σ(g x̂) / n), with n elements in the scope. */
static pl_status norm_backward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                     const double *totals, double count) {
  norm_kernel *k = (norm_kernel *)kernel;
  norm_saved saved = saved_of(k, args->saved);
  norm_scratch scratch = scratch_of(k, args->scratch);
  pl_norm_line line = line_of(k, saved, scratch.scale);
  for (int c = 0; c < k->shape.channels; c++) {
    double product = totals[k->shape.channels + c] * saved.deviation_inverse[c];
    scratch.offset[c] = (float)(line.scale[c] * totals[c] / count);
    scratch.slope[c] = (float)(line.scale[c] * product / count);
  }
  pl_norm_apply_gradient(&k->shape, line, scratch.offset, scratch.slope, args->x, args->y, args->dy,
                         args->dx, args->dskip);
  return PL_OK;
}

static const pl_kernel_class inference_class = {
    .destroy = norm_destroy, .load = norm_load, .forward = norm_forward};

static const pl_kernel_class training_class = {.destroy = norm_destroy,
                                               .load = norm_load,
                                               .forward_sums = norm_forward_sums,
                                               .forward_apply = norm_forward_apply,
                                               .backward_sums = norm_backward_sums,
                                               .backward_apply = norm_backward_apply};

static void fill_needs(const norm_kernel *k, bool training, pl_kernel_needs *needs) {
  size_t channels = k->shape.channels;
  *needs = (pl_kernel_needs){0};
  if (!training) return;
  needs->saved_bytes = 2 * channels * sizeof(float);
  needs->scratch_bytes = k->chunks * 2 * channels * sizeof(double) + 3 * channels * sizeof(float);
  needs->backward_reads_x = true;
  needs->backward_reads_y = k->shape.add && k->shape.relu;
  needs->phase_sums = 2 * channels;
}

static pl_status norm_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  norm_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  k->head.class = spec->training ? &training_class : &inference_class;
  k->op = op;
  k->space = spec->space;
  k->shape =
      (pl_norm_shape){.positions = (int64_t)spec->rows * op->in_shape.height * op->in_shape.width,
                      .channels = op->in_shape.channels,
                      .in_type = spec->in_type,
                      .out_type = spec->out_type,
                      .add = op->fused_add,
                      .relu = op->fused_relu};
  k->chunks = pl_norm_chunks(&k->shape);
  if (!spec->training) {
    k->scale = pl_alloc(k->shape.channels, sizeof *k->scale);
    if (!k->scale) {
      norm_destroy(&k->head);
      return PL_E_INTERNAL;
    }
  }
  fill_needs(k, spec->training, needs);
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_batch_norm = {norm_supports, norm_prepare};
