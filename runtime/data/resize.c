#include <math.h>

#include "runtime/data/augment_ops.h"

/* Half the width of the interpolation kernels, in outputs when enlarging. */
static double kernel_radius(pl_interpolation interpolation) {
  return interpolation == PL_BICUBIC ? 2.0 : 1.0;
}

static double kernel_value(pl_interpolation interpolation, double x) {
  x = fabs(x);
  if (interpolation == PL_BILINEAR) return x < 1 ? 1 - x : 0;
  /* Keys' cubic convolution kernel (1981) with a = -1/2 */
  const double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((x - 5) * x + 8) * x * a - 4 * a;
  return 0;
}

static double shrink_factor(int in, int out) { return in > out ? (double)in / out : 1; }

pl_filter pl_filter_carve(pl_carver *carver, int in, int out, pl_interpolation interpolation) {
  double support = kernel_radius(interpolation) * shrink_factor(in, out);
  pl_filter filter = {.in = in, .out = out, .taps = (int)ceil(2 * support)};
  filter.weight = pl_carve_floats(carver, (size_t)filter.taps * (size_t)out);
  filter.start = pl_carve_ints(carver, (size_t)out);
  return filter;
}

void pl_filter_fill(pl_filter *filter, pl_interpolation interpolation, double scale, bool mirror) {
  double shrink = shrink_factor(filter->in, filter->out);
  double support = kernel_radius(interpolation) * shrink;
  for (int o = 0; o < filter->out; o++) {
    double centre = (o + 0.5) * filter->in / filter->out;
    int first = (int)fmax(centre - support + 0.5, 0);
    int end = (int)fmin(centre + support + 0.5, filter->in);
    double sum = 0;
    for (int i = first; i < end; i++) {
      sum += kernel_value(interpolation, (i + 0.5 - centre) / shrink);
    }
    int at = mirror ? filter->out - 1 - o : o;
    filter->start[at] = first;
    for (int t = 0; t < filter->taps; t++) {
      double value = 0;
      if (first + t < end) {
        value = kernel_value(interpolation, (first + t + 0.5 - centre) / shrink);
      }
      filter->weight[(size_t)t * filter->out + at] = (float)(scale * value / sum);
    }
  }
}

/* One row of pixels, apart by channel and with zeros where filters reach past the end. */
static void spread_row(const uint8_t *pixels, int width, int stride, float *row) {
  for (int c = 0; c < 3; c++) {
    float *channel = row + (size_t)c * stride;
    for (int x = 0; x < width; x++) channel[x] = pixels[3 * x + c];
    for (int x = width; x < stride; x++) channel[x] = 0;
  }
}

static void resize_row(const pl_filter *filter, const float *restrict in, float *restrict out) {
  const int n = filter->out;
  const int *restrict start = filter->start;
  const float *restrict weight = filter->weight;
  for (int o = 0; o < n; o++) out[o] = weight[o] * in[start[o]];
  for (int t = 1; t < filter->taps; t++) {
    weight += n;
    for (int o = 0; o < n; o++) out[o] += weight[o] * in[start[o] + t];
  }
}

/* Rows lie `width` apart in `in` and `out`. */
static void resize_columns(const pl_filter *filter, int width, const float *restrict in,
                           float *restrict out) {
  for (int o = 0; o < filter->out; o++, out += width) {
    const float *restrict from = in + (size_t)filter->start[o] * width;
    float weight = filter->weight[o];
    for (int x = 0; x < width; x++) out[x] = weight * from[x];
    for (int t = 1; t < filter->taps && filter->start[o] + t < filter->in; t++) {
      weight = filter->weight[(size_t)t * filter->out + o];
      from += width;
      for (int x = 0; x < width; x++) out[x] += weight * from[x];
    }
  }
}

void pl_resize_box(const pl_image *image, pl_box box, const pl_filter *horizontal,
                   const pl_filter *vertical, float *row, float *rows, float *planes) {
  const int stride = horizontal->in + horizontal->taps, width = horizontal->out;
  const size_t part = (size_t)box.height * width; /* one channel of `rows` */
  for (int y = 0; y < box.height; y++) {
    size_t pixel = (size_t)(box.top + y) * image->width + box.left;
    spread_row(image->pixels + 3 * pixel, box.width, stride, row);
    for (int c = 0; c < 3; c++) {
      resize_row(horizontal, row + (size_t)c * stride, rows + c * part + (size_t)y * width);
    }
  }
  for (int c = 0; c < 3; c++) {
    resize_columns(vertical, width, rows + c * part, planes + (size_t)c * vertical->out * width);
  }
}
