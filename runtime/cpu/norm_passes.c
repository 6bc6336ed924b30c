#include "runtime/cpu/norm_passes.h"

#include <string.h>

#include "runtime/cpu/element.h"

/* GROUP positions are added up in f32 before they go to a channel's double: that is exact enough
 * (their rounding errors do not build up) and keeps the double arithmetic to a fraction. */
enum { GROUP = 8, MOST_CHUNKS = 64, SMALLEST_CHUNK = 64 };

int64_t pl_norm_chunks(pl_norm_shape *shape) {
  int64_t chunk = (shape->positions + MOST_CHUNKS - 1) / MOST_CHUNKS;
  chunk = (chunk + GROUP - 1) / GROUP * GROUP;
  shape->chunk = chunk < SMALLEST_CHUNK ? SMALLEST_CHUNK : chunk;
  return (shape->positions + shape->chunk - 1) / shape->chunk;
}

/* A run of positions, and what the sweeps read and write. */
typedef struct sweep {
  const pl_norm_shape *shape;
  pl_norm_line line;
  const void *x, *skip, *y, *dy;
  void *y_out, *dx, *dskip;
  const float *offset, *slope;
  double *partial;
  int64_t first, end; /* positions */
} sweep;

typedef void sweep_run(const sweep *s);

static void over_chunks(const sweep *all, sweep_run *run) {
  const pl_norm_shape *shape = all->shape;
  int64_t chunks = (shape->positions + shape->chunk - 1) / shape->chunk;
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < chunks; i++) {
    sweep s = *all;
    s.first = i * shape->chunk;
    s.end = s.first + shape->chunk < shape->positions ? s.first + shape->chunk : shape->positions;
    if (all->partial) s.partial = all->partial + i * 2 * shape->channels;
    run(&s);
  }
}

static void add_chunks(const pl_norm_shape *shape, const double *partial, double *sums) {
  int width = 2 * shape->channels;
  int64_t chunks = (shape->positions + shape->chunk - 1) / shape->chunk;
  memset(sums, 0, width * sizeof *sums);
  for (int64_t i = 0; i < chunks; i++)
    for (int c = 0; c < width; c++) sums[c] += partial[i * width + c];
}

/* Adds `count` positions from `position` on to the sums. */
PL_INLINE void sum_group(pl_dtype in, const sweep *s, int64_t position, int count) {
  int channels = s->shape->channels;
  const void *x = pl_at(in, s->x, position * channels);
  double *restrict sum = s->partial, *restrict square = s->partial + channels;
#pragma omp simd
  for (int c = 0; c < channels; c++) {
    float a = 0, b = 0;
#pragma GCC unroll 8
    for (int i = 0; i < count; i++) {
      float v = pl_get(in, x, (size_t)i * channels + c);
      a += v;
      b += v * v;
    }
    sum[c] += (double)a;
    square[c] += (double)b;
  }
}

PL_INLINE void sum_typed(pl_dtype in, const sweep *s) {
  memset(s->partial, 0, 2 * s->shape->channels * sizeof *s->partial);
  int64_t p = s->first;
  for (; p + GROUP <= s->end; p += GROUP) sum_group(in, s, p, GROUP);
  for (; p < s->end; p++) sum_group(in, s, p, 1);
}

static void sum_run(const sweep *s) {
  if (s->shape->in_type == PL_BF16)
    sum_typed(PL_BF16, s);
  else
    sum_typed(PL_F32, s);
}

void pl_norm_sum(const pl_norm_shape *shape, const void *x, double *partial, double *sums) {
  sweep s = {.shape = shape, .x = x, .partial = partial};
  over_chunks(&s, sum_run);
  add_chunks(shape, partial, sums);
}

PL_INLINE void apply_body(pl_dtype in, pl_dtype out, bool add, bool relu, const sweep *s) {
  int channels = s->shape->channels;
  const float *restrict mean = s->line.mean, *restrict scale = s->line.scale,
                        *restrict bias = s->line.bias;
  for (int64_t p = s->first; p < s->end; p++) {
    const void *x = pl_at(in, s->x, p * channels);
    const void *skip = add ? pl_at(in, s->skip, p * channels) : NULL;
    void *y = pl_at(out, s->y_out, p * channels);
#pragma omp simd
    for (int c = 0; c < channels; c++) {
      float v = (pl_get(in, x, c) - mean[c]) * scale[c] + bias[c];
      if (add) v += pl_get(in, skip, c);
      if (relu) v = v < 0 ? 0 : v; /* keeps a NaN */
      pl_put(out, y, c, v);
    }
  }
}

PL_INLINE void apply_typed(bool add, bool relu, const sweep *s) {
  if (s->shape->out_type == PL_BF16)
    apply_body(PL_BF16, PL_BF16, add, relu, s);
  else if (s->shape->in_type == PL_BF16)
    apply_body(PL_BF16, PL_F32, add, relu, s);
  else
    apply_body(PL_F32, PL_F32, add, relu, s);
}

static void apply_run(const sweep *s) {
  if (s->shape->add && s->shape->relu)
    apply_typed(true, true, s);
  else if (s->shape->add)
    apply_typed(true, false, s);
  else if (s->shape->relu)
    apply_typed(false, true, s);
  else
    apply_typed(false, false, s);
}

void pl_norm_apply(const pl_norm_shape *shape, pl_norm_line line, const void *x, const void *skip,
                   void *y) {
  sweep s = {.shape = shape, .line = line, .x = x, .skip = skip, .y_out = y};
  over_chunks(&s, apply_run);
}

/* The gradient that reaches the sum before the relu. Without a skip value, y > 0 is known from x:
 * one stream of memory less to read. */
PL_INLINE float masked(pl_dtype out, bool add, bool relu, const sweep *s, size_t at, int c,
                       float centred) {
  float g = pl_get(out, s->dy, at);
  if (!relu) return g;
  float y = add ? pl_get(out, s->y, at) : centred * s->line.scale[c] + s->line.bias[c];
  return y > 0 ? g : 0;
}

PL_INLINE void gradient_group(pl_dtype in, pl_dtype out, bool add, bool relu, const sweep *s,
                              int64_t position, int count) {
  int channels = s->shape->channels;
  double *restrict sum = s->partial, *restrict product = s->partial + channels;
#pragma omp simd
  for (int c = 0; c < channels; c++) {
    float a = 0, b = 0;
#pragma GCC unroll 8
    for (int i = 0; i < count; i++) {
      size_t at = (position + i) * channels + c;
      float centred = pl_get(in, s->x, at) - s->line.mean[c];
      float g = masked(out, add, relu, s, at, c, centred);
      a += g;
      b += g * centred;
    }
    sum[c] += (double)a;
    product[c] += (double)b;
  }
}

PL_INLINE void gradient_sum_body(pl_dtype in, pl_dtype out, bool add, bool relu, const sweep *s) {
  memset(s->partial, 0, 2 * s->shape->channels * sizeof *s->partial);
  int64_t p = s->first;
  for (; p + GROUP <= s->end; p += GROUP) gradient_group(in, out, add, relu, s, p, GROUP);
  for (; p < s->end; p++) gradient_group(in, out, add, relu, s, p, 1);
}

PL_INLINE void gradient_body(pl_dtype in, pl_dtype out, bool add, bool relu, const sweep *s) {
  int channels = s->shape->channels;
  const float *restrict mean = s->line.mean, *restrict scale = s->line.scale,
                        *restrict offset = s->offset, *restrict slope = s->slope;
  void *dx = s->dx, *dskip = add ? s->dskip : NULL;
  for (int64_t p = s->first; p < s->end; p++) {
#pragma omp simd
    for (int c = 0; c < channels; c++) {
      size_t at = p * channels + c;
      float centred = pl_get(in, s->x, at) - mean[c];
      float g = masked(out, add, relu, s, at, c, centred);
      if (dskip) pl_put(in, dskip, at, g);
      if (dx) pl_put(in, dx, at, scale[c] * g - offset[c] - slope[c] * centred);
    }
  }
}

/* Both backward sweeps, told apart by `sums`. */
PL_INLINE void backward_typed(bool sums, bool add, bool relu, const sweep *s) {
  pl_dtype in = s->shape->in_type, out = s->shape->out_type;
  if (out == PL_BF16)
    sums ? gradient_sum_body(PL_BF16, PL_BF16, add, relu, s)
         : gradient_body(PL_BF16, PL_BF16, add, relu, s);
  else if (in == PL_BF16)
    sums ? gradient_sum_body(PL_BF16, PL_F32, add, relu, s)
         : gradient_body(PL_BF16, PL_F32, add, relu, s);
  else
    sums ? gradient_sum_body(PL_F32, PL_F32, add, relu, s)
         : gradient_body(PL_F32, PL_F32, add, relu, s);
}

PL_INLINE void backward_flagged(bool sums, const sweep *s) {
  if (s->shape->add && s->shape->relu)
    backward_typed(sums, true, true, s);
  else if (s->shape->add)
    backward_typed(sums, true, false, s);
  else if (s->shape->relu)
    backward_typed(sums, false, true, s);
  else
    backward_typed(sums, false, false, s);
}

static void gradient_sum_run(const sweep *s) { backward_flagged(true, s); }
static void gradient_run(const sweep *s) { backward_flagged(false, s); }

void pl_norm_sum_gradient(const pl_norm_shape *shape, pl_norm_line line, const void *x,
                          const void *y, const void *dy, double *partial, double *sums) {
  sweep s = {.shape = shape, .line = line, .x = x, .y = y, .dy = dy, .partial = partial};
  over_chunks(&s, gradient_sum_run);
  add_chunks(shape, partial, sums);
}

void pl_norm_apply_gradient(const pl_norm_shape *shape, pl_norm_line line, const float *offset,
                            const float *slope, const void *x, const void *y, const void *dy,
                            void *dx, void *dskip) {
  sweep s = {.shape = shape,
             .line = line,
             .x = x,
             .y = y,
             .dy = dy,
             .dx = dx,
             .dskip = dskip,
             .offset = offset,
             .slope = slope};
  over_chunks(&s, gradient_run);
}
