#include "tests/unit/formula.h"

#include <math.h>
#include <string.h>

static uint32_t seed_of(const char *name) {
  uint32_t hash = 2166136261U; /* FNV-1a */
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619U;
  return hash;
}

static uint32_t scramble(uint32_t seed, uint32_t place) {
  uint32_t h = place * 0x9E3779B1U + seed;
  h ^= h >> 15;
  h *= 0x85EBCA77U;
  h ^= h >> 13;
  h *= 0xC2B2AE3DU;
  h ^= h >> 16;
  return h;
}

/* In [-1, 1). */
static double number(uint32_t seed, uint32_t place) {
  return (scramble(seed, place) >> 8) / 8388608.0 - 1;
}

/* ---- weights ---- */

static bool ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* Elements [first, first + n) of a tensor. */
static void fill(const char *name, int dims, int64_t fan_in, int64_t first, int64_t n,
                 float *values) {
  uint32_t seed = seed_of(name);
  bool weight = ends_with(name, "weight");
  bool positive = ends_with(name, "running_var") || (weight && dims == 1);
  double middle = 0, spread = 0.125;
  if (positive) {
    /* Branches of a ResNet-50 end small: they would amplify rounding. */
    double gain = ends_with(name, "bn3.weight") ? 0.2 : 1;
    middle = gain * 0.75;
    spread = gain * 0.25;
  } else if (weight) {
    spread = sqrt(6.0 / (double)fan_in);
  } else if (strcmp(name, "logit_scale") == 0) {
    middle = 2.5;
    spread = 0;
  } else if (strcmp(name, "logit_bias") == 0) {
    middle = -2;
    spread = 0;
  }
  for (int64_t i = 0; i < n; i++)
    values[i] = (float)(middle + spread * number(seed, (uint32_t)(first + i)));
}

void formula_fill(pl_state *state, size_t skip) {
  const pl_slice *slice = state->slice;
#pragma omp parallel for schedule(static)
  for (int64_t b = 0; b < slice->blocks; b++) {
    const pl_param *param =
        pl_space_param(state->space, pl_space_block_param(state->space, slice->block[b]));
    int64_t first = (slice->block[b] - param->first_block) * PL_BLOCK;
    int64_t n = param->count - first < PL_BLOCK ? param->count - first : PL_BLOCK;
    fill(param->name + skip, param->dims, param->count / param->dim[0], first, n,
         state->master + b * PL_BLOCK);
  }
  for (int b = 0; b < pl_space_buffers(state->space); b++) {
    const pl_buffer *buffer = pl_space_buffer(state->space, b);
    fill(buffer->name + skip, 1, 1, 0, buffer->count, state->buffers + buffer->offset);
  }
}

/* ---- images and texts ---- */

void formula_images(const char *name, int rows, int side, float *images) {
  uint32_t seed = seed_of(name), pixels = (uint32_t)(rows * side * side * 3);
  for (uint32_t i = 0; i < pixels; i++) images[i] = (float)number(seed, i);
}

void formula_texts(int rows, int context, int vocabulary, int32_t *ids) {
  uint32_t seed = seed_of("texts");
  for (int row = 0; row < rows; row++) {
    int end = 5 + 29 * row % (context - 5);
    for (int i = 0; i < context; i++) {
      double u = number(seed, (uint32_t)(row * context + i));
      ids[row * context + i] = i < end ? (int32_t)((u + 1) / 2 * (vocabulary - 1)) : 0;
    }
    ids[row * context + end] = vocabulary - 1;
  }
}

/* ---- digests ---- */

void formula_digest_add(const char *name, int64_t first, int64_t n, const float *values,
                        formula_digest *digest) {
  uint32_t seed = ~seed_of(name);
  formula_digest d = *digest; /* in registers: tensors may be large */
  for (int64_t i = 0; i < n; i++) {
    double value = (double)values[i];
    uint32_t bits = scramble(seed, (uint32_t)(first + i));
    d.squares += value * value;
    for (int k = 0; k < FORMULA_SIGNS; k++) {
      int sign = (int)(bits >> (31 - k) & 1) * 2 - 1;
      d.product[k] += sign * value;
    }
  }
  *digest = d;
}
