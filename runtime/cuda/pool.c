/* Max and average pooling. */
#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

enum { MOST_WINDOW = 15 }; /* 15² positions in a window fit into a byte */

typedef struct pool_kernel {
  pl_kernel head;
  pl_cuda_pool shape;
} pool_kernel;

static const char *any_pool_supports(const pl_kernel_spec *spec) {
  if (spec->op->window.pad >= spec->op->window.kernel) return "pooling windows of padding only";
  return pl_kernel_same_type(spec);
}

static const char *max_pool_supports(const pl_kernel_spec *spec) {
  if (spec->op->window.kernel > MOST_WINDOW) return "max pooling has windows of at most 15×15";
  return any_pool_supports(spec);
}

static pl_status pool_prepare(const pl_kernel_spec *spec, const pl_kernel_class *class,
                              pl_kernel **out, pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  pool_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (pool_kernel){.head = {class},
                     .shape = {.type = spec->in_type,
                               .rows = spec->rows,
                               .channels = op->in_shape.channels,
                               .in_height = op->in_shape.height,
                               .in_width = op->in_shape.width,
                               .out_height = op->out_shape.height,
                               .out_width = op->out_shape.width,
                               .kernel = op->window.kernel,
                               .stride = op->window.stride,
                               .pad = op->window.pad}};
  *needs = (pl_kernel_needs){0};
  *out = &k->head;
  return PL_OK;
}

static pl_status max_pool_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  pool_kernel *k = (pool_kernel *)kernel;
  pl_launch_max_pool(pl_cuda_stream(), &k->shape, args->x, args->y, args->saved);
  return pl_cuda_check("max pooling", cudaGetLastError());
}

static pl_status max_pool_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  pool_kernel *k = (pool_kernel *)kernel;
  if (!args->dx) return PL_OK;
  pl_launch_max_pool_gradient(pl_cuda_stream(), &k->shape, args->dy, args->saved, args->dx);
  return pl_cuda_check("max pooling's gradient", cudaGetLastError());
}

static pl_status avg_pool_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  pool_kernel *k = (pool_kernel *)kernel;
  pl_launch_avg_pool(pl_cuda_stream(), &k->shape, args->x, args->y);
  return pl_cuda_check("average pooling", cudaGetLastError());
}

static pl_status avg_pool_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  pool_kernel *k = (pool_kernel *)kernel;
  if (!args->dx) return PL_OK;
  pl_launch_avg_pool_gradient(pl_cuda_stream(), &k->shape, args->dy, args->dx);
  return pl_cuda_check("average pooling's gradient", cudaGetLastError());
}

static const pl_kernel_class max_pool_class = {.destroy = pl_kernel_free,
                                               .load = pl_kernel_load_nothing,
                                               .forward = max_pool_forward,
                                               .backward = max_pool_backward};
static const pl_kernel_class avg_pool_class = {.destroy = pl_kernel_free,
                                               .load = pl_kernel_load_nothing,
                                               .forward = avg_pool_forward,
                                               .backward = avg_pool_backward};

static pl_status max_pool_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                  pl_kernel_needs *needs) {
  PL_TRY(pool_prepare(spec, &max_pool_class, out, needs));
  if (spec->training)
    needs->saved_bytes = (size_t)spec->rows * pl_shape_elements(spec->op->out_shape);
  return PL_OK;
}

static pl_status avg_pool_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                  pl_kernel_needs *needs) {
  return pool_prepare(spec, &avg_pool_class, out, needs);
}

const pl_kernel_maker pl_cuda_max_pool = {max_pool_supports, max_pool_prepare};
const pl_kernel_maker pl_cuda_avg_pool = {any_pool_supports, avg_pool_prepare};
