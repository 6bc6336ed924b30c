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

static void blur_row(const float *restrict row, int size, int kernel, const float *restrict weight,
                     float *restrict padded, float *restrict out) {
  int radius = kernel / 2;
  for (int t = 0; t < radius; t++) {
    padded[t] = row[reflect(t - radius, size)];
    padded[radius + size + t] = row[reflect(size + t, size)];
  }
  memcpy(padded + radius, row, (size_t)size * sizeof *row);
  for (int x = 0; x < size; x++) out[x] = weight[0] * padded[x];
  for (int t = 1; t < kernel; t++) {
    for (int x = 0; x < size; x++) out[x] += weight[t] * padded[x + t];
  }
}

void pl_blur(float *planes, int size, int kernel, float sigma, float *weight, float *padded,
             float *plane) {
  gaussian(kernel, sigma, weight);
  for (int c = 0; c < 3; c++) {
    float *from = planes + (size_t)c * size * size;
    for (int y = 0; y < size; y++) {
      blur_row(from + (size_t)y * size, size, kernel, weight, padded, plane + (size_t)y * size);
    }
    for (int y = 0; y < size; y++) {
      float *restrict out = from + (size_t)y * size;
      for (int x = 0; x < size; x++) out[x] = 0;
      for (int t = 0; t < kernel; t++) {
        const float *restrict row = plane + (size_t)reflect(y + t - kernel / 2, size) * size;
        for (int x = 0; x < size; x++) out[x] += weight[t] * row[x];
      }
    }
  }
}
