/* What makes a sequence of positions: a learned class token in front, where there is one, and a
 * learned vector added at each place. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"

enum { CHANNEL_BLOCK = 64 };

typedef struct positions_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight, bias; /* parameters: of the positions, of the class token or -1 */
  int rows, length, channels;
  int first; /* places in front of x: 1 with a class token */
  pl_dtype type;
  const void *place;        /* (length, channels) */
  const float *class_token; /* (channels) */
} positions_kernel;

static const char *positions_supports(const pl_kernel_spec *spec) {
  if (pl_space_param(spec->space, spec->op->weight)->compute_type != spec->in_type)
    return "positions have the type of their weight";
  return pl_kernel_same_type(spec);
}

static pl_status positions_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  positions_kernel *k = (positions_kernel *)kernel;
  k->place = pl_kernel_param(k->space, k->weight, image);
  if (k->bias >= 0) k->class_token = pl_kernel_param(k->space, k->bias, image);
  return PL_OK;
}

/* The element of x that goes to place t of a row; t is not the class token's. */
static size_t x_at(const positions_kernel *k, int row, int t) {
  return ((size_t)row * (k->length - k->first) + t - k->first) * k->channels;
}

static size_t y_at(const positions_kernel *k, int row, int t) {
  return ((size_t)row * k->length + t) * k->channels;
}

PL_INLINE void forward_typed(pl_dtype type, const positions_kernel *k, const pl_kernel_args *args) {
#pragma omp parallel for schedule(static) collapse(2)
  for (int row = 0; row < k->rows; row++)
    for (int t = 0; t < k->length; t++) {
      void *y = pl_at(type, args->y, y_at(k, row, t));
      const void *place = pl_at(type, k->place, (size_t)t * k->channels);
      if (t < k->first) {
#pragma omp simd
        for (int c = 0; c < k->channels; c++)
          pl_put(type, y, c, k->class_token[c] + pl_get(type, place, c));
        continue;
      }
      const void *x = pl_at(type, args->x, x_at(k, row, t));
#pragma omp simd
      for (int c = 0; c < k->channels; c++)
        pl_put(type, y, c, pl_get(type, x, c) + pl_get(type, place, c));
    }
}

/* Channels [c, c + width) of place t: the sum over rows, in their order. */
PL_INLINE void sum_rows(pl_dtype type, const positions_kernel *k, const pl_kernel_args *args, int t,
                        int c, int width) {
  double sum[CHANNEL_BLOCK] = {0};
  for (int row = 0; row < k->rows; row++) {
    const void *dy = pl_at(type, args->dy, y_at(k, row, t) + c);
#pragma omp simd
    for (int i = 0; i < width; i++) sum[i] += (double)pl_get(type, dy, i);
  }
  float *to = args->dweight + (size_t)t * k->channels + c;
  for (int i = 0; i < width; i++) to[i] = (float)sum[i];
  if (t < k->first) memcpy(args->dbias + c, to, (size_t)width * sizeof *to);
}

PL_INLINE void backward_typed(pl_dtype type, const positions_kernel *k,
                              const pl_kernel_args *args) {
#pragma omp parallel for schedule(static)
  for (int t = 0; t < k->length; t++) {
    for (int c = 0; c < k->channels; c += CHANNEL_BLOCK) {
      int left = k->channels - c;
      sum_rows(type, k, args, t, c, left < CHANNEL_BLOCK ? left : CHANNEL_BLOCK);
    }
    for (int row = 0; args->dx && t >= k->first && row < k->rows; row++)
      memcpy(pl_at(type, args->dx, x_at(k, row, t)), pl_at(type, args->dy, y_at(k, row, t)),
             k->channels * pl_dtype_bytes(type));
  }
}

static pl_status positions_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  positions_kernel *k = (positions_kernel *)kernel;
  if (k->type == PL_BF16)
    forward_typed(PL_BF16, k, args);
  else
    forward_typed(PL_F32, k, args);
  return PL_OK;
}

static pl_status positions_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  positions_kernel *k = (positions_kernel *)kernel;
  if (k->type == PL_BF16)
    backward_typed(PL_BF16, k, args);
  else
    backward_typed(PL_F32, k, args);
  return PL_OK;
}

static const pl_kernel_class positions_class = {.destroy = pl_kernel_free,
                                                .load = positions_load,
                                                .forward = positions_forward,
                                                .backward = positions_backward};

static pl_status positions_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                   pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  positions_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (positions_kernel){.head = {&positions_class},
                          .space = spec->space,
                          .weight = op->weight,
                          .bias = op->bias,
                          .rows = spec->rows,
                          .length = op->out_shape.height,
                          .channels = op->out_shape.channels,
                          .first = op->bias >= 0 ? 1 : 0,
                          .type = spec->in_type};
  *needs = (pl_kernel_needs){0};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_positions = {positions_supports, positions_prepare};
