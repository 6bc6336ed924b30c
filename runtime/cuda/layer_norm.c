/* Layer norm over the channels of each position: y = (x - mean) / sqrt(var + epsilon) * gain +
 * bias. Saved are mean and 1 / sqrt(var + epsilon) of each position. */
#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct layer_norm_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight, bias; /* parameters */
  pl_cuda_layer_norm_shape shape;
  const float *gain_values, *bias_values; /* in the image */
} layer_norm_kernel;

static pl_status layer_norm_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  layer_norm_kernel *k = (layer_norm_kernel *)kernel;
  k->gain_values = pl_kernel_param(k->space, k->weight, image);
  k->bias_values = pl_kernel_param(k->space, k->bias, image);
  return PL_OK;
}

static pl_status layer_norm_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  layer_norm_kernel *k = (layer_norm_kernel *)kernel;
  pl_launch_layer_norm(pl_cuda_stream(), &k->shape, k->gain_values, k->bias_values, args->x,
                       args->y, args->saved);
  return pl_cuda_check("layer norm", cudaGetLastError());
}

static pl_status layer_norm_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  layer_norm_kernel *k = (layer_norm_kernel *)kernel;
  pl_launch_layer_norm_gradient(pl_cuda_stream(), &k->shape, k->gain_values, args->saved, args->x,
                                args->dy, args->scratch, args->dweight, args->dbias, args->add_dx,
                                args->dx);
  return pl_cuda_check("layer norm's gradient", cudaGetLastError());
}

static const pl_kernel_class layer_norm_class = {.destroy = pl_kernel_free,
                                                 .load = layer_norm_load,
                                                 .forward = layer_norm_forward,
                                                 .backward = layer_norm_backward};

static void fill_needs(const layer_norm_kernel *k, bool training, pl_kernel_needs *needs) {
  size_t positions = k->shape.positions;
  *needs = (pl_kernel_needs){0};
  if (!training) return;
  needs->backward_reads_x = needs->backward_adds_dx = true;
  needs->saved_bytes = positions * 2 * sizeof(float);
  needs->scratch_bytes = pl_launch_layer_norm_partial(&k->shape) * sizeof(double);
}

static pl_status layer_norm_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                    pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  layer_norm_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (layer_norm_kernel){
      .head = {&layer_norm_class},
      .space = spec->space,
      .weight = op->weight,
      .bias = op->bias,
      .shape = {.type = spec->in_type,
                .positions = (size_t)spec->rows * op->in_shape.height * op->in_shape.width,
                .channels = op->in_shape.channels,
                .epsilon = op->epsilon}};
  fill_needs(k, spec->training, needs);
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cuda_layer_norm = {pl_kernel_same_type, layer_norm_prepare};
