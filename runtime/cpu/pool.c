/* Max and average pooling. The backward passes go over the inputs and gather from the windows that
 * cover them, so that no two threads write the same element and the order of sums is fixed. */
#include <math.h>

#include "runtime/base/memory.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"

enum { CHANNEL_BLOCK = 64, MOST_WINDOW = 15 }; /* 15² positions in a window fit into a byte */

typedef struct pool_kernel {
  pl_kernel head;
  int rows;
  pl_shape in, out;
  pl_window window;
  pl_dtype type;
} pool_kernel;

typedef struct span {
  int first, end;
} span;

/* Inputs that window `o` covers along one side. */
static span inputs_of(pl_window w, int o, int inputs) {
  int first = o * w.stride - w.pad, end = first + w.kernel;
  return (span){first > 0 ? first : 0, end < inputs ? end : inputs};
}

/* Windows that cover input `i` along one side. */
static span windows_of(pl_window w, int i, int outputs) {
  int from = i + w.pad - w.kernel + 1;
  int first = from > 0 ? (from + w.stride - 1) / w.stride : 0;
  int end = (i + w.pad) / w.stride + 1;
  return (span){first, end < outputs ? end : outputs};
}

static int span_length(span s) { return s.end - s.first; }

static size_t offset_of(pl_shape shape, int row, int h, int w) {
  return (((size_t)row * shape.height + h) * shape.width + w) * shape.channels;
}

static const char *any_pool_supports(const pl_kernel_spec *spec) {
  if (spec->in_type != spec->out_type || spec->in_type == PL_U8)
    return "pooling needs f32 or bf16, the same for input and output";
  if (spec->op->window.pad >= spec->op->window.kernel) return "pooling windows of padding only";
  return NULL;
}

static const char *max_pool_supports(const pl_kernel_spec *spec) {
  if (spec->op->window.kernel > MOST_WINDOW) return "max pooling has windows of at most 15×15";
  return any_pool_supports(spec);
}

static void pool_destroy(pl_kernel *kernel) { pl_free(kernel); }

static pl_status pool_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)kernel, (void)image, (void)buffers;
  return PL_OK;
}

static pl_status pool_prepare(const pl_kernel_spec *spec, const pl_kernel_class *class,
                              pl_kernel **out, pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  pool_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (pool_kernel){.head = {class},
                     .rows = spec->rows,
                     .in = op->in_shape,
                     .out = op->out_shape,
                     .window = op->window,
                     .type = spec->in_type};
  *needs = (pl_kernel_needs){0};
  *out = &k->head;
  return PL_OK;
}

/* y and, unless `chosen` is NULL, which of the window's kernel² positions it came from (the first
 * of equals). A NaN wins and stays. */
PL_INLINE void max_at(pl_dtype type, const pool_kernel *k, const void *x, int row, int oh, int ow,
                      void *y, uint8_t *chosen) {
  span hs = inputs_of(k->window, oh, k->in.height), ws = inputs_of(k->window, ow, k->in.width);
  int channels = k->in.channels;
  for (int c = 0; c < channels; c++) pl_put(type, y, c, -INFINITY);
  if (chosen) memset(chosen, 0, channels);
  for (int h = hs.first; h < hs.end; h++)
    for (int w = ws.first; w < ws.end; w++) {
      const void *from = pl_at(type, x, offset_of(k->in, row, h, w));
      uint8_t place = (uint8_t)((h - oh * k->window.stride + k->window.pad) * k->window.kernel + w -
                                ow * k->window.stride + k->window.pad);
#pragma omp simd
      for (int c = 0; c < channels; c++) {
        float v = pl_get(type, from, c), best = pl_get(type, y, c);
        bool better = v > best || v != v;
        pl_put(type, y, c, better ? v : best);
        if (chosen) chosen[c] = better ? place : chosen[c];
      }
    }
}

PL_INLINE void max_forward(pl_dtype type, const pool_kernel *k, const pl_kernel_args *args) {
#pragma omp parallel for schedule(static)
  for (int line = 0; line < k->rows * k->out.height; line++) {
    int row = line / k->out.height, oh = line % k->out.height;
    for (int ow = 0; ow < k->out.width; ow++) {
      size_t at = offset_of(k->out, row, oh, ow);
      uint8_t *chosen = args->saved ? (uint8_t *)args->saved + at : NULL;
      max_at(type, k, args->x, row, oh, ow, pl_at(type, args->y, at), chosen);
    }
  }
}

static pl_status max_pool_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  pool_kernel *k = (pool_kernel *)kernel;
  if (k->type == PL_BF16)
    max_forward(PL_BF16, k, args);
  else
    max_forward(PL_F32, k, args);
  return PL_OK;
}

/* sum[0..channels) += what the windows over input (h, w) hand to it. */
PL_INLINE void max_gather(pl_dtype type, const pool_kernel *k, const pl_kernel_args *args, int row,
                          int h, int w, int first_channel, int channels, float *sum) {
  span hs = windows_of(k->window, h, k->out.height), ws = windows_of(k->window, w, k->out.width);
  for (int oh = hs.first; oh < hs.end; oh++)
    for (int ow = ws.first; ow < ws.end; ow++) {
      size_t at = offset_of(k->out, row, oh, ow) + first_channel;
      const void *dy = pl_at(type, args->dy, at);
      const uint8_t *chosen = (const uint8_t *)args->saved + at;
      int place = (h - oh * k->window.stride + k->window.pad) * k->window.kernel + w -
                  ow * k->window.stride + k->window.pad;
#pragma omp simd
      for (int c = 0; c < channels; c++) sum[c] += chosen[c] == place ? pl_get(type, dy, c) : 0;
    }
}

PL_INLINE void mean_gather(pl_dtype type, const pool_kernel *k, const pl_kernel_args *args, int row,
                           int h, int w, int first_channel, int channels, float *sum) {
  span hs = windows_of(k->window, h, k->out.height), ws = windows_of(k->window, w, k->out.width);
  for (int oh = hs.first; oh < hs.end; oh++)
    for (int ow = ws.first; ow < ws.end; ow++) {
      const void *dy = pl_at(type, args->dy, offset_of(k->out, row, oh, ow) + first_channel);
      int count = span_length(inputs_of(k->window, oh, k->in.height)) *
                  span_length(inputs_of(k->window, ow, k->in.width));
      float share = 1.0F / (float)count;
#pragma omp simd
      for (int c = 0; c < channels; c++) sum[c] += pl_get(type, dy, c) * share;
    }
}

PL_INLINE void pool_backward(pl_dtype type, bool max, const pool_kernel *k,
                             const pl_kernel_args *args) {
#pragma omp parallel for schedule(static)
  for (int line = 0; line < k->rows * k->in.height; line++) {
    int row = line / k->in.height, h = line % k->in.height;
    for (int w = 0; w < k->in.width; w++)
      for (int c = 0; c < k->in.channels; c += CHANNEL_BLOCK) {
        int left = k->in.channels - c, channels = left < CHANNEL_BLOCK ? left : CHANNEL_BLOCK;
        float sum[CHANNEL_BLOCK] = {0};
        if (max)
          max_gather(type, k, args, row, h, w, c, channels, sum);
        else
          mean_gather(type, k, args, row, h, w, c, channels, sum);
        void *dx = pl_at(type, args->dx, offset_of(k->in, row, h, w) + c);
        for (int i = 0; i < channels; i++) pl_put(type, dx, i, sum[i]);
      }
  }
}

static pl_status max_pool_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  pool_kernel *k = (pool_kernel *)kernel;
  if (!args->dx) return PL_OK;
  if (k->type == PL_BF16)
    pool_backward(PL_BF16, true, k, args);
  else
    pool_backward(PL_F32, true, k, args);
  return PL_OK;
}

PL_INLINE void mean_forward(pl_dtype type, const pool_kernel *k, const pl_kernel_args *args) {
#pragma omp parallel for schedule(static)
  for (int line = 0; line < k->rows * k->out.height; line++) {
    int row = line / k->out.height, oh = line % k->out.height;
    span hs = inputs_of(k->window, oh, k->in.height);
    for (int ow = 0; ow < k->out.width; ow++) {
      span ws = inputs_of(k->window, ow, k->in.width);
      float share = 1.0F / (float)(span_length(hs) * span_length(ws));
      for (int c = 0; c < k->in.channels; c += CHANNEL_BLOCK) {
        int left = k->in.channels - c, channels = left < CHANNEL_BLOCK ? left : CHANNEL_BLOCK;
        float sum[CHANNEL_BLOCK] = {0};
        for (int h = hs.first; h < hs.end; h++)
          for (int w = ws.first; w < ws.end; w++) {
            const void *x = pl_at(type, args->x, offset_of(k->in, row, h, w) + c);
#pragma omp simd
            for (int i = 0; i < channels; i++) sum[i] += pl_get(type, x, i);
          }
        void *y = pl_at(type, args->y, offset_of(k->out, row, oh, ow) + c);
        for (int i = 0; i < channels; i++) pl_put(type, y, i, sum[i] * share);
      }
    }
  }
}

static pl_status avg_pool_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  pool_kernel *k = (pool_kernel *)kernel;
  if (k->type == PL_BF16)
    mean_forward(PL_BF16, k, args);
  else
    mean_forward(PL_F32, k, args);
  return PL_OK;
}

static pl_status avg_pool_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  pool_kernel *k = (pool_kernel *)kernel;
  if (!args->dx) return PL_OK;
  if (k->type == PL_BF16)
    pool_backward(PL_BF16, false, k, args);
  else
    pool_backward(PL_F32, false, k, args);
  return PL_OK;
}

static const pl_kernel_class max_pool_class = {.destroy = pool_destroy,
                                               .load = pool_load,
                                               .forward = max_pool_forward,
                                               .backward = max_pool_backward};
static const pl_kernel_class avg_pool_class = {.destroy = pool_destroy,
                                               .load = pool_load,
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

const pl_kernel_maker pl_cpu_max_pool = {max_pool_supports, max_pool_prepare};
const pl_kernel_maker pl_cpu_avg_pool = {any_pool_supports, avg_pool_prepare};
