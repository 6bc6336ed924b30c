#include <math.h>
#include <string.h>

#include "runtime/data/augment_ops.h"

/* Place of `i` in 0 … n-1 when the row is mirrored at its ends, which are not repeated. */
static int reflect(int i, int n) {
  if (n == 1) return 0;
  int period = 2 * (n - 1);
  i = (i % period + period) % period;
  return i < n ? i : period - i;
}

static void gaussian(int kernel, float sigma, float *weight) {
  int radius = kernel / 2;
  double sum = 0;
  for (int t = 0; t < kernel; t++) {
    double x = (t - radius) / (double)sigma;
    weight[t] = (float)exp(-0.5 * x * x);
    sum += weight[t];
  }
  for (int t = 0; t < kernel; t++) weight[t] = (float)(weight[t] / sum);
}

/* Adds the weighted sum of two rows: of taps equally far from the centre, which weigh the same. */
static void add_pair(float *restrict out, const float *a, const float *b, float weight, int n) {
  for (int x = 0; x < n; x++) out[x] += weight * (a[x] + b[x]);
}

static void start_row(float *restrict out, const float *centre, float weight, int n) {
  for (int x = 0; x < n; x++) out[x] = weight * centre[x];
}

void pl_blur(float *planes, int size, int kernel, float sigma, float *weight, float *padded,
             float *plane) {
  const int radius = kernel / 2;
  gaussian(kernel, sigma, weight);
  for (int c = 0; c < 3; c++) {
    float *view = planes + (size_t)c * size * size;
    for (int y = 0; y < size; y++) {
      const float *row = view + (size_t)y * size;
      float *out = plane + (size_t)y * size;
      for (int t = 0; t < radius; t++) {
        padded[t] = row[reflect(t - radius, size)];
        padded[radius + size + t] = row[reflect(size + t, size)];
      }
      memcpy(padded + radius, row, (size_t)size * sizeof *row);
      start_row(out, row, weight[radius], size);
      for (int t = 0; t < radius; t++) {
        add_pair(out, padded + t, padded + kernel - 1 - t, weight[t], size);
      }
    }
    for (int y = 0; y < size; y++) {
      float *out = view + (size_t)y * size;
      start_row(out, plane + (size_t)y * size, weight[radius], size);
      for (int t = 0; t < radius; t++) {
        const float *above = plane + (size_t)reflect(y + t - radius, size) * size;
        const float *below = plane + (size_t)reflect(y + radius - t, size) * size;
        add_pair(out, above, below, weight[t], size);
      }
    }
  }
}
