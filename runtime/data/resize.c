#include <math.h>
#include <string.h>

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
  const double shrink = shrink_factor(filter->in, filter->out), by_shrink = 1 / shrink;
  const double support = kernel_radius(interpolation) * shrink;
  for (int o = 0; o < filter->out; o++) {
    double centre = (o + 0.5) * filter->in / filter->out;
    double low = centre - support + 0.5, high = centre + support + 0.5;
    int first = low > 0 ? (int)low : 0;
    int end = high < filter->in ? (int)high : filter->in;
    int count = end - first < filter->taps ? end - first : filter->taps;

    int at = mirror ? filter->out - 1 - o : o;
    float *weight = filter->weight + (size_t)at * filter->taps;
    filter->start[at] = first;
    double sum = 0;
    for (int t = 0; t < count; t++) {
      double value = kernel_value(interpolation, (first + t + 0.5 - centre) * by_shrink);
      weight[t] = (float)value;
      sum += value;
    }
    float norm = (float)(scale / sum);
    for (int t = 0; t < count; t++) weight[t] *= norm;
    for (int t = count; t < filter->taps; t++) weight[t] = 0;
  }
}

pl_resize_scratch pl_resize_carve(pl_carver *carver, const pl_filter *horizontal, int height) {
  const size_t out = (size_t)horizontal->out;
  pl_resize_scratch s = {0};
  s.row = pl_carve_floats(carver, 3 * ((size_t)horizontal->in + (size_t)horizontal->taps) + 1);
  s.rows = pl_carve_floats(carver, 4 * out * (size_t)height);
  s.out_row = pl_carve_floats(carver, 4 * out);
  return s;
}

/* A pixel between the two passes: red, green, blue and one that is in tow, as vectors come in
 * fours. */
typedef float pixel __attribute__((vector_size(16)));

/* `in`: pixels of three floats. The fourth lane gets the red of the pixel behind. */
static void resize_row(const pl_filter *filter, const float *restrict in, float *restrict out) {
  const int taps = filter->taps;
  const float *weight = filter->weight;
  for (int o = 0; o < filter->out; o++, weight += taps) {
    const float *from = in + 3 * (size_t)filter->start[o];
    pixel sum = {0};
    for (int t = 0; t < taps; t++) {
      pixel p;
      memcpy(&p, from + 3 * (size_t)t, sizeof p);
      sum += weight[t] * p;
    }
    memcpy(out + 4 * (size_t)o, &sum, sizeof sum);
  }
}

/* One row of the result, n floats, from rows of n floats. There are at least two taps. */
static void resize_column(const pl_filter *filter, int o, const float *in, size_t n,
                          float *restrict out) {
  const float *weight = filter->weight + (size_t)o * filter->taps;
  const int start = filter->start[o], last = filter->in - 1;
  /* past the end the weight is 0, and any row will do */
  const float *a = in + n * (size_t)start;
  const float *b = in + n * (size_t)(start + 1 < last ? start + 1 : last);
  for (size_t i = 0; i < n; i++) out[i] = weight[0] * a[i] + weight[1] * b[i];
  for (int t = 2; t < filter->taps && start + t <= last; t++) {
    a = in + n * (size_t)(start + t);
    for (size_t i = 0; i < n; i++) out[i] += weight[t] * a[i];
  }
}

void pl_resize_box(const pl_image *image, pl_box box, const pl_filter *horizontal,
                   const pl_filter *vertical, const pl_resize_scratch *scratch, float *planes) {
  const size_t width = (size_t)horizontal->out, plane = width * (size_t)vertical->out;
  const size_t in_floats = 3 * (size_t)box.width;
  float *row = scratch->row;
  memset(row + in_floats, 0, (3 * (size_t)horizontal->taps + 1) * sizeof *row);
  for (int y = 0; y < box.height; y++) {
    size_t first = (size_t)(box.top + y) * (size_t)image->width + (size_t)box.left;
    const uint8_t *pixels = image->pixels + 3 * first;
    for (size_t i = 0; i < in_floats; i++) row[i] = pixels[i];
    resize_row(horizontal, row, scratch->rows + 4 * width * (size_t)y);
  }
  float *restrict red = planes, *restrict green = red + plane, *restrict blue = green + plane;
  const float *restrict out_row = scratch->out_row;
  for (int y = 0; y < vertical->out; y++, red += width, green += width, blue += width) {
    resize_column(vertical, y, scratch->rows, 4 * width, scratch->out_row);
    for (size_t x = 0; x < width; x++) {
      red[x] = out_row[4 * x];
      green[x] = out_row[4 * x + 1];
      blue[x] = out_row[4 * x + 2];
    }
  }
}
