/* relu, add, conversion. */
#include "runtime/cpu/pointwise.h"

#include "runtime/base/memory.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"

typedef struct pointwise_kernel {
  pl_kernel head;
  pl_dtype type;
  size_t elements;
} pointwise_kernel;

static const char *pointwise_supports(const pl_kernel_spec *spec) {
  if (spec->in_type != spec->out_type || spec->in_type == PL_U8)
    return "relu and add need f32 or bf16, the same for input and output";
  return NULL;
}

static void pointwise_destroy(pl_kernel *kernel) { pl_free(kernel); }

static pl_status pointwise_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)kernel, (void)image, (void)buffers;
  return PL_OK;
}

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

/* `to` may be `a` or `b`: each element is read before it is written. */
PL_INLINE void add_typed(pl_dtype type, void *to, const void *a, const void *b, size_t n) {
#pragma omp parallel for simd schedule(static)
  for (size_t i = 0; i < n; i++) pl_put(type, to, i, pl_get(type, a, i) + pl_get(type, b, i));
}

pl_status pl_pointwise_add(pl_dtype type, void *to, const void *a, const void *b, size_t n) {
  if (type == PL_BF16)
    add_typed(PL_BF16, to, a, b, n);
  else
    add_typed(PL_F32, to, a, b, n);
  return PL_OK;
}

PL_INLINE void convert_typed(pl_dtype to_type, void *to, pl_dtype from_type, const void *from,
                             size_t n) {
#pragma omp parallel for simd schedule(static)
  for (size_t i = 0; i < n; i++) pl_put(to_type, to, i, pl_get(from_type, from, i));
}

pl_status pl_pointwise_convert(pl_dtype to_type, void *to, pl_dtype from_type, const void *from,
                               size_t n) {
  if (to_type == PL_U8 || from_type == PL_U8)
    return PL_FAIL(PL_E_INTERNAL, "no conversion from %s to %s", pl_dtype_name(from_type),
                   pl_dtype_name(to_type));
  if (to_type == PL_BF16 && from_type == PL_F32)
    convert_typed(PL_BF16, to, PL_F32, from, n);
  else if (to_type == PL_F32 && from_type == PL_BF16)
    convert_typed(PL_F32, to, PL_BF16, from, n);
  else
    memcpy(to, from, n * pl_dtype_bytes(to_type));
  return PL_OK;
}

PL_INLINE void relu_typed(pl_dtype type, void *to, const void *from, size_t n) {
#pragma omp parallel for simd schedule(static)
  for (size_t i = 0; i < n; i++) {
    float v = pl_get(type, from, i);
    pl_put(type, to, i, v < 0 ? 0 : v); /* keeps a NaN */
  }
}

PL_INLINE void relu_gradient_typed(pl_dtype type, void *dx, const void *y, const void *dy,
                                   size_t n) {
#pragma omp parallel for simd schedule(static)
  for (size_t i = 0; i < n; i++)
    pl_put(type, dx, i, pl_get(type, y, i) > 0 ? pl_get(type, dy, i) : 0);
}

static pl_status relu_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  pointwise_kernel *k = (pointwise_kernel *)kernel;
  if (k->type == PL_BF16)
    relu_typed(PL_BF16, args->y, args->x, k->elements);
  else
    relu_typed(PL_F32, args->y, args->x, k->elements);
  return PL_OK;
}

static pl_status relu_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  pointwise_kernel *k = (pointwise_kernel *)kernel;
  if (!args->dx) return PL_OK;
  if (k->type == PL_BF16)
    relu_gradient_typed(PL_BF16, args->dx, args->y, args->dy, k->elements);
  else
    relu_gradient_typed(PL_F32, args->dx, args->y, args->dy, k->elements);
  return PL_OK;
}

static const pl_kernel_class relu_class = {.destroy = pointwise_destroy,
                                           .load = pointwise_load,
                                           .forward = relu_forward,
                                           .backward = relu_backward};

static pl_status relu_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  PL_TRY(pointwise_prepare(spec, &relu_class, out));
  *needs = (pl_kernel_needs){.backward_reads_y = spec->training};
  return PL_OK;
}

static pl_status add_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  pointwise_kernel *k = (pointwise_kernel *)kernel;
  return pl_pointwise_add(k->type, args->y, args->x, args->skip, k->elements);
}

/* Bytes that a thread copies at a time. */
enum { COPY_PIECE = 1 << 16 };

static void copy(void *to, const void *from, size_t bytes) {
#pragma omp parallel for schedule(static)
  for (size_t first = 0; first < bytes; first += COPY_PIECE) {
    size_t left = bytes - first;
    memcpy((char *)to + first, (const char *)from + first, left < COPY_PIECE ? left : COPY_PIECE);
  }
}

/* Both inputs get the gradient as it is. */
static pl_status add_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  pointwise_kernel *k = (pointwise_kernel *)kernel;
  size_t bytes = k->elements * pl_dtype_bytes(k->type);
  if (args->dx) copy(args->dx, args->dy, bytes);
  if (args->dskip) copy(args->dskip, args->dy, bytes);
  return PL_OK;
}

static const pl_kernel_class add_class = {.destroy = pointwise_destroy,
                                          .load = pointwise_load,
                                          .forward = add_forward,
                                          .backward = add_backward};

static pl_status add_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  PL_TRY(pointwise_prepare(spec, &add_class, out));
  *needs = (pl_kernel_needs){0};
  return PL_OK;
}

const pl_kernel_maker pl_cpu_relu = {pointwise_supports, relu_prepare};
const pl_kernel_maker pl_cpu_add = {pointwise_supports, add_prepare};
