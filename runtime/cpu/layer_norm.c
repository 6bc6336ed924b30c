/* Layer norm over the channels of each position: y = (x - mean) / sqrt(var + epsilon) * gain +
 * bias. Saved are mean and 1 / sqrt(var + epsilon) of each position.
 *
 * Threads share the positions in chunks that depend on the shape only; gradients of gain and bias
 * are summed inside a chunk in order, then over chunks in theirs. */
#include <math.h>
#include <string.h>

#include "runtime/base/lanes.h"
#include "runtime/base/memory.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"

enum { MOST_CHUNKS = 64, SMALLEST_CHUNK = 16 };

typedef struct layer_norm_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight, bias; /* parameters */
  int64_t positions, chunk, chunks;
  int channels;
  float epsilon;
  pl_dtype type;
  const float *gain_values, *bias_values;
} layer_norm_kernel;

typedef struct statistics {
  float mean, inverse;
} statistics;

static pl_status layer_norm_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  layer_norm_kernel *k = (layer_norm_kernel *)kernel;
  k->gain_values = pl_kernel_param(k->space, k->weight, image);
  k->bias_values = pl_kernel_param(k->space, k->bias, image);
  return PL_OK;
}

/* Two passes over x, which stays in the nearest cache: squares of differences lose no digits where
 * the mean is large. */
PL_INLINE statistics statistics_of(pl_dtype type, const layer_norm_kernel *k, const void *x) {
  float lane[PL_LANES] = {0}, square[PL_LANES] = {0};
  int n = k->channels, whole = n - n % PL_LANES;
  for (int c = 0; c < whole; c += PL_LANES)
    for (int i = 0; i < PL_LANES; i++) lane[i] += pl_get(type, x, c + i);
  for (int c = whole; c < n; c++) lane[c - whole] += pl_get(type, x, c);
  float mean = pl_fold_f32(lane) / (float)n;
  for (int c = 0; c < whole; c += PL_LANES)
    for (int i = 0; i < PL_LANES; i++) {
      float off = pl_get(type, x, c + i) - mean;
      square[i] += off * off;
    }
  for (int c = whole; c < n; c++) {
    float off = pl_get(type, x, c) - mean;
    square[c - whole] += off * off;
  }
  float variance = pl_fold_f32(square) / (float)n;
  return (statistics){mean, 1.0F / sqrtf(variance + k->epsilon)};
}

PL_INLINE statistics normalize(pl_dtype type, const layer_norm_kernel *k, const void *x, void *y) {
  const float *restrict gain = k->gain_values, *restrict bias = k->bias_values;
  statistics s = statistics_of(type, k, x);
#pragma omp simd
  for (int c = 0; c < k->channels; c++)
    pl_put(type, y, c, (pl_get(type, x, c) - s.mean) * s.inverse * gain[c] + bias[c]);
  return s;
}

static pl_status layer_norm_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  layer_norm_kernel *k = (layer_norm_kernel *)kernel;
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < k->positions; p++) {
    const void *x = pl_at(k->type, args->x, p * k->channels);
    void *y = pl_at(k->type, args->y, p * k->channels);
    statistics s = k->type == PL_BF16 ? normalize(PL_BF16, k, x, y) : normalize(PL_F32, k, x, y);
    if (args->saved) ((statistics *)args->saved)[p] = s;
  }
  return PL_OK;
}

/* Adds term c of Σ g and of Σ g x̂, where g = dy gain, to a lane. */
PL_INLINE void add_term(pl_dtype type, const layer_norm_kernel *k, const void *x, const void *dy,
                        statistics s, int c, float *sum, float *along) {
  float g = pl_get(type, dy, c) * k->gain_values[c];
  *sum += g;
  *along += g * ((pl_get(type, x, c) - s.mean) * s.inverse);
}

/* dx = (g - mean g - x̂ mean(g x̂)) / sqrt(var + epsilon), and the position's part of the gradients
 * of gain and bias. */
PL_INLINE void position_backward(pl_dtype type, const layer_norm_kernel *k, const void *x,
                                 const void *dy, statistics s, void *dx, float *restrict dgain,
                                 float *restrict dbias) {
  float sum[PL_LANES] = {0}, along[PL_LANES] = {0};
  int n = k->channels, whole = n - n % PL_LANES;
  for (int c = 0; c < whole; c += PL_LANES)
    for (int i = 0; i < PL_LANES; i++) add_term(type, k, x, dy, s, c + i, &sum[i], &along[i]);
  for (int c = whole; c < n; c++)
    add_term(type, k, x, dy, s, c, &sum[c - whole], &along[c - whole]);
  float mean = pl_fold_f32(sum) / (float)n, slope = pl_fold_f32(along) / (float)n;
  const float *restrict gain = k->gain_values;
#pragma omp simd
  for (int c = 0; c < n; c++) {
    float g = pl_get(type, dy, c), normal = (pl_get(type, x, c) - s.mean) * s.inverse;
    dgain[c] += g * normal;
    dbias[c] += g;
    if (dx) pl_put(type, dx, c, s.inverse * (g * gain[c] - mean - normal * slope));
  }
}

PL_INLINE void chunk_typed(pl_dtype type, const layer_norm_kernel *k, const pl_kernel_args *args,
                           int64_t first, int64_t end, float *dgain, float *dbias) {
  const statistics *saved = args->saved;
  for (int64_t p = first; p < end; p++) {
    size_t at = p * k->channels;
    void *dx = args->dx ? pl_at(type, args->dx, at) : NULL;
    position_backward(type, k, pl_at(type, args->x, at), pl_at(type, args->dy, at), saved[p], dx,
                      dgain, dbias);
  }
}

static void over_chunks(const layer_norm_kernel *k, const pl_kernel_args *args) {
  float *partial = args->scratch; /* (chunks, 2, channels) */
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < k->chunks; i++) {
    float *dgain = partial + i * 2 * k->channels, *dbias = dgain + k->channels;
    int64_t first = i * k->chunk;
    int64_t end = first + k->chunk < k->positions ? first + k->chunk : k->positions;
    memset(dgain, 0, 2 * (size_t)k->channels * sizeof *dgain);
    if (k->type == PL_BF16)
      chunk_typed(PL_BF16, k, args, first, end, dgain, dbias);
    else
      chunk_typed(PL_F32, k, args, first, end, dgain, dbias);
  }
}

/* Chunk after chunk, in double. */
static void add_chunks(const layer_norm_kernel *k, const float *partial, float *dgain,
                       float *dbias) {
#pragma omp parallel for schedule(static)
  for (int c = 0; c < k->channels; c++) {
    double gain = 0, bias = 0;
    for (int64_t i = 0; i < k->chunks; i++) {
      gain += (double)partial[i * 2 * k->channels + c];
      bias += (double)partial[(i * 2 + 1) * k->channels + c];
    }
    dgain[c] = (float)gain;
    dbias[c] = (float)bias;
  }
}

static pl_status layer_norm_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  layer_norm_kernel *k = (layer_norm_kernel *)kernel;
  over_chunks(k, args);
  add_chunks(k, args->scratch, args->dweight, args->dbias);
  return PL_OK;
}

static const pl_kernel_class layer_norm_class = {.destroy = pl_kernel_free,
                                                 .load = layer_norm_load,
                                                 .forward = layer_norm_forward,
                                                 .backward = layer_norm_backward};

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
      .positions = (int64_t)spec->rows * op->in_shape.height * op->in_shape.width,
      .channels = op->in_shape.channels,
      .epsilon = op->epsilon,
      .type = spec->in_type};
  k->chunk = (k->positions + MOST_CHUNKS - 1) / MOST_CHUNKS;
  if (k->chunk < SMALLEST_CHUNK) k->chunk = SMALLEST_CHUNK;
  k->chunks = (k->positions + k->chunk - 1) / k->chunk;
  *needs = (pl_kernel_needs){.backward_reads_x = spec->training};
  if (spec->training) {
    needs->saved_bytes = (size_t)k->positions * sizeof(statistics);
    needs->scratch_bytes = (size_t)k->chunks * 2 * (size_t)k->channels * sizeof(float);
  }
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_layer_norm = {pl_kernel_same_type, layer_norm_prepare};
