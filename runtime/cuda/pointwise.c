/* relu, add, conversion. */
#include "runtime/cuda/pointwise.h"

#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct pointwise_kernel {
  pl_kernel head;
  pl_dtype type;
  size_t elements;
} pointwise_kernel;

static pl_status pointwise_prepare(const pl_kernel_spec *spec, const pl_kernel_class *class,
                                   pl_kernel **out) {
  pointwise_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  k->head.class = class;
  k->type = spec->in_type;
  k->elements = (size_t)spec->rows * pl_shape_elements(spec->op->out_shape);
  *out = &k->head;
  return PL_OK;
}

pl_status pl_cuda_add_arrays(pl_dtype type, void *to, const void *a, const void *b, size_t n) {
  pl_launch_add(pl_cuda_stream(), type, to, a, b, n);
  return pl_cuda_check("addition", cudaGetLastError());
}

pl_status pl_cuda_convert(pl_dtype to_type, void *to, pl_dtype from_type, const void *from,
                          size_t n) {
  bool floats =
      (to_type == PL_F32 || to_type == PL_BF16) && (from_type == PL_F32 || from_type == PL_BF16);
  if (!floats)
    return PL_FAIL(PL_E_INTERNAL, "no conversion from %s to %s", pl_dtype_name(from_type),
                   pl_dtype_name(to_type));
  pl_launch_convert(pl_cuda_stream(), to_type, to, from_type, from, n);
  return pl_cuda_check("conversion", cudaGetLastError());
}

pl_status pl_cuda_moments(double *statistic, const double *totals, size_t channels, double count) {
  pl_launch_moments(pl_cuda_stream(), statistic, totals, channels, count);
  return pl_cuda_check("moments of a norm", cudaGetLastError());
}

static pl_status relu_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  pointwise_kernel *k = (pointwise_kernel *)kernel;
  pl_launch_relu(pl_cuda_stream(), k->type, args->y, args->x, k->elements);
  return pl_cuda_check("relu", cudaGetLastError());
}

static pl_status relu_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  pointwise_kernel *k = (pointwise_kernel *)kernel;
  if (!args->dx) return PL_OK;
  pl_launch_relu_gradient(pl_cuda_stream(), k->type, args->dx, args->y, args->dy, k->elements);
  return pl_cuda_check("gradient of relu", cudaGetLastError());
}

static const pl_kernel_class relu_class = {.destroy = pl_kernel_free,
                                           .load = pl_kernel_load_nothing,
                                           .forward = relu_forward,
                                           .backward = relu_backward};

static pl_status relu_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  PL_TRY(pointwise_prepare(spec, &relu_class, out));
  *needs = (pl_kernel_needs){.backward_reads_y = spec->training};
  return PL_OK;
}

static pl_status add_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  pointwise_kernel *k = (pointwise_kernel *)kernel;
  return pl_cuda_add_arrays(k->type, args->y, args->x, args->skip, k->elements);
}

/* Both inputs get the gradient as it is. */
static pl_status add_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  pointwise_kernel *k = (pointwise_kernel *)kernel;
  size_t bytes = k->elements * pl_dtype_bytes(k->type);
  if (args->dx) PL_TRY(pl_cuda_device.copy(args->dx, args->dy, bytes));
  if (args->dskip) PL_TRY(pl_cuda_device.copy(args->dskip, args->dy, bytes));
  return PL_OK;
}

static const pl_kernel_class add_class = {.destroy = pl_kernel_free,
                                          .load = pl_kernel_load_nothing,
                                          .forward = add_forward,
                                          .backward = add_backward};

static pl_status add_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  PL_TRY(pointwise_prepare(spec, &add_class, out));
  *needs = (pl_kernel_needs){0};
  return PL_OK;
}

const pl_kernel_maker pl_cuda_relu = {pl_kernel_same_type, relu_prepare};
const pl_kernel_maker pl_cuda_add = {pl_kernel_same_type, add_prepare};
