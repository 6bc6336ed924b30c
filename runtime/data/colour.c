#include "runtime/base/lanes.h"
#include "runtime/data/augment_ops.h"

/* Luma as torchvision weighs it (ITU-R BT.601, rounded to these digits). */
static inline float luma(float r, float g, float b) {
  return 0.2989f * r + 0.587f * g + 0.114f * b;
}

/* In this form a comparison and a choice become one vector instruction each. */
static inline float clamp01(float x) {
  x = x > 0 ? x : 0;
  return x < 1 ? x : 1;
}

void pl_clamp(float *planes, size_t n) {
  for (size_t i = 0; i < n; i++) planes[i] = clamp01(planes[i]);
}

void pl_brightness(float *planes, size_t n, float factor) {
  for (size_t i = 0; i < 3 * n; i++) planes[i] = clamp01(factor * planes[i]);
}

/* Sum of the luma: floats along a row, double over the rows, so that large views lose nothing. */
static double luma_sum(const float *planes, int size) {
  size_t n = (size_t)size * size;
  double sum = 0;
  for (int y = 0; y < size; y++) {
    const float *r = planes + (size_t)y * size, *g = r + n, *b = g + n;
    float lane[PL_LANES] = {0};
    int x = 0;
    for (; x + PL_LANES <= size; x += PL_LANES) {
      for (int k = 0; k < PL_LANES; k++) lane[k] += luma(r[x + k], g[x + k], b[x + k]);
    }
    for (int k = 0; x + k < size; k++) lane[k] += luma(r[x + k], g[x + k], b[x + k]);
    sum += pl_fold_f32(lane);
  }
  return sum;
}

void pl_contrast(float *planes, int size, float factor) {
  size_t n = (size_t)size * size;
  float mean = (float)(luma_sum(planes, size) / (double)n);
  float shift = (float)(1 - (double)factor) * mean;
  for (size_t i = 0; i < 3 * n; i++) planes[i] = clamp01(factor * planes[i] + shift);
}

void pl_saturation(float *planes, size_t n, float factor) {
  float *restrict r = planes, *restrict g = planes + n, *restrict b = planes + 2 * n;
  float rest = (float)(1 - (double)factor);
  for (size_t i = 0; i < n; i++) {
    float grey = rest * luma(r[i], g[i], b[i]);
    r[i] = clamp01(factor * r[i] + grey);
    g[i] = clamp01(factor * g[i] + grey);
    b[i] = clamp01(factor * b[i] + grey);
  }
}

/* One channel of a colour given by hue `turn` in [0, 6), largest channel and chroma (largest minus
 * smallest): constant high, falling, constant low, rising over the six sectors. `offset` puts the
 * channel's falling edge where it belongs. */
static inline float hue_channel(float turn, float offset, float high, float chroma) {
  float at = turn + offset;
  at = at >= 6 ? at - 6 : at;
  float down = at < 4 - at ? at : 4 - at;
  return high - chroma * clamp01(down);
}

/* Through hue, saturation, value and back. As p = v(1 - s) is the smallest channel, chroma stands
 * in for saturation and one division per pixel is left. */
void pl_hue(float *planes, size_t n, float shift) {
  float *restrict red = planes, *restrict green = planes + n, *restrict blue = planes + 2 * n;
  const float shift_sectors = 6 * shift;
  for (size_t i = 0; i < n; i++) {
    float r = red[i], g = green[i], b = blue[i];
    float high = r > g ? r : g;
    high = high > b ? high : b;
    float low = r < g ? r : g;
    low = low < b ? low : b;
    float chroma = high - low;
    float inverse = 1 / (chroma > 0 ? chroma : 1);

    float turn =
        high == r ? (g - b) * inverse : (high == g ? 2 + (b - r) * inverse : 4 + (r - g) * inverse);
    turn += shift_sectors; /* in [-1, 5] + [-3, 3] */
    turn = turn < 0 ? turn + 6 : turn;
    turn = turn >= 6 ? turn - 6 : turn;

    red[i] = hue_channel(turn, 5, high, chroma);
    green[i] = hue_channel(turn, 3, high, chroma);
    blue[i] = hue_channel(turn, 1, high, chroma);
  }
}

void pl_grey(float *planes, size_t n) {
  float *restrict r = planes, *restrict g = planes + n, *restrict b = planes + 2 * n;
  for (size_t i = 0; i < n; i++) {
    float grey = luma(r[i], g[i], b[i]);
    r[i] = grey;
    g[i] = grey;
    b[i] = grey;
  }
}

void pl_solarize(float *planes, size_t n) {
  for (size_t i = 0; i < 3 * n; i++) planes[i] = planes[i] >= 0.5f ? 1 - planes[i] : planes[i];
}

void pl_normalise(const float *planes, size_t n, const float mean[3], const float std[3],
                  float *view) {
  const float *restrict r = planes, *restrict g = planes + n, *restrict b = planes + 2 * n;
  const float by_r = 1 / std[0], by_g = 1 / std[1], by_b = 1 / std[2];
  for (size_t i = 0; i < n; i++) {
    view[3 * i] = (r[i] - mean[0]) * by_r;
    view[3 * i + 1] = (g[i] - mean[1]) * by_g;
    view[3 * i + 2] = (b[i] - mean[2]) * by_b;
  }
}
