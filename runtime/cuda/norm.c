/* Batch norm, with the skip value and the relu that compile fused into it. In inference the running
 * statistics take the place of the leaf's. */
#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct norm_kernel {
  pl_kernel head;
  const pl_op *op;
  const pl_space *space;
  pl_cuda_norm shape;             /* without its arrays */
  const float *gain, *bias;       /* in the image */
  pl_device_values mean, inverse; /* inference: running mean, and what comes of the variance */
} norm_kernel;

static const char *norm_supports(const pl_kernel_spec *spec) {
  bool activations = (spec->in_type == PL_F32 || spec->in_type == PL_BF16) &&
                     (spec->out_type == PL_F32 || spec->out_type == PL_BF16);
  if (!activations) return "batch norm needs f32 or bf16";
  if (spec->in_type == PL_F32 && spec->out_type == PL_BF16)
    return "batch norm does not narrow f32 to bf16";
  return NULL;
}

static void norm_destroy(pl_kernel *kernel) {
  norm_kernel *k = (norm_kernel *)kernel;
  pl_device_values_free(&k->mean);
  pl_device_values_free(&k->inverse);
  pl_free(k);
}

static void load_line(norm_kernel *k, const void *image) {
  k->gain = pl_kernel_param(k->space, k->op->weight, image);
  k->bias = pl_kernel_param(k->space, k->op->bias, image);
}

static pl_status training_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  load_line((norm_kernel *)kernel, image);
  return PL_OK;
}

static pl_status inference_load(pl_kernel *kernel, const void *image, const float *buffers) {
  norm_kernel *k = (norm_kernel *)kernel;
  load_line(k, image);
  PL_TRY(pl_device_buffer_load(k->space, k->op->running_mean, buffers, &k->mean));
  PL_TRY(pl_device_buffer_load(k->space, k->op->running_var, buffers, &k->inverse));
  pl_launch_norm_invert(pl_cuda_stream(), k->shape.channels, k->op->epsilon, k->inverse.array);
  return pl_cuda_check("running statistics", cudaGetLastError());
}

/* `statistics`: means of the channels, then their inverse deviations. */
static pl_cuda_norm with_statistics(const norm_kernel *k, const float *statistics) {
  pl_cuda_norm norm = k->shape;
  norm.gain = k->gain;
  norm.bias = k->bias;
  norm.mean = statistics;
  norm.inverse = statistics + norm.channels;
  return norm;
}

static pl_status inference_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  norm_kernel *k = (norm_kernel *)kernel;
  pl_cuda_norm norm = k->shape;
  norm.gain = k->gain;
  norm.bias = k->bias;
  norm.mean = k->mean.array;
  norm.inverse = k->inverse.array;
  pl_launch_norm_apply(pl_cuda_stream(), &norm, args->x, args->skip, args->y);
  return pl_cuda_check("batch norm", cudaGetLastError());
}

static pl_status norm_forward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums) {
  norm_kernel *k = (norm_kernel *)kernel;
  pl_launch_norm_sums(pl_cuda_stream(), &k->shape, args->x, args->scratch, sums);
  return pl_cuda_check("sums of batch norm", cudaGetLastError());
}

static pl_status norm_forward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                    const double *totals, double count) {
  norm_kernel *k = (norm_kernel *)kernel;
  size_t channels = k->shape.channels;
  float *statistics = args->saved;
  pl_launch_norm_statistics(pl_cuda_stream(), channels, totals, count, k->op->epsilon, statistics,
                            statistics + channels);
  pl_cuda_norm norm = with_statistics(k, statistics);
  pl_launch_norm_apply(pl_cuda_stream(), &norm, args->x, args->skip, args->y);
  return pl_cuda_check("batch norm", cudaGetLastError());
}

static pl_status norm_backward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums) {
  norm_kernel *k = (norm_kernel *)kernel;
  pl_cuda_norm norm = with_statistics(k, args->saved);
  pl_launch_norm_gradient_sums(pl_cuda_stream(), &norm, args->x, args->y, args->dy, args->scratch,
                               sums, args->dweight, args->dbias);
  return pl_cuda_check("sums of batch norm's gradient", cudaGetLastError());
}

static pl_status norm_backward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                     const double *totals, double count) {
  norm_kernel *k = (norm_kernel *)kernel;
  pl_cuda_norm norm = with_statistics(k, args->saved);
  pl_launch_norm_gradient(pl_cuda_stream(), &norm, totals, count, args->x, args->y, args->dy,
                          args->dx, args->dskip);
  return pl_cuda_check("batch norm's gradient", cudaGetLastError());
}

static const pl_kernel_class inference_class = {
    .destroy = norm_destroy, .load = inference_load, .forward = inference_forward};

static const pl_kernel_class training_class = {.destroy = norm_destroy,
                                               .load = training_load,
                                               .forward_sums = norm_forward_sums,
                                               .forward_apply = norm_forward_apply,
                                               .backward_sums = norm_backward_sums,
                                               .backward_apply = norm_backward_apply};

static void fill_needs(const norm_kernel *k, bool training, pl_kernel_needs *needs) {
  size_t channels = k->shape.channels;
  *needs = (pl_kernel_needs){0};
  if (!training) return;
  needs->saved_bytes = 2 * channels * sizeof(float);
  needs->scratch_bytes =
      pl_launch_column_chunks(k->shape.positions, channels) * 2 * channels * sizeof(double);
  needs->backward_reads_x = true;
  needs->backward_reads_y = k->shape.add && k->shape.relu;
  needs->phase_sums = 2 * channels;
}

static pl_status make_room(norm_kernel *k, bool training) {
  if (training) return PL_OK;
  PL_TRY(pl_device_buffer_create(k->space, k->op->running_mean, &k->mean));
  return pl_device_buffer_create(k->space, k->op->running_var, &k->inverse);
}

static pl_status norm_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  norm_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (norm_kernel){
      .head = {spec->training ? &training_class : &inference_class},
      .op = op,
      .space = spec->space,
      .shape = {.positions = (size_t)spec->rows * op->in_shape.height * op->in_shape.width,
                .channels = op->in_shape.channels,
                .in_type = spec->in_type,
                .out_type = spec->out_type,
                .add = op->fused_add,
                .relu = op->fused_relu}};
  pl_status status = make_room(k, spec->training);
  if (status != PL_OK) {
    norm_destroy(&k->head);
    return status;
  }
  fill_needs(k, spec->training, needs);
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cuda_batch_norm = {norm_supports, norm_prepare};
