/* The operations behind augment.h, on one view at work.
 *
 * A view at work is three planes of floats in [0, 1], red, green, blue, without gaps: (3, size,
 * size). Everything is a plain loop over a plane or a row, so that it vectorises; scratch comes
 * from the caller. No result depends on where a buffer lies. */
#ifndef PL_DATA_AUGMENT_OPS_H
#define PL_DATA_AUGMENT_OPS_H

#include "runtime/data/augment.h"

/* Hands out parts of one scratch block, each starting at a cache line. With a NULL `at` it only
 * counts, so that the same code first finds how much is needed. */
typedef struct pl_carver {
  unsigned char *at;
  size_t used; /* bytes */
} pl_carver;

float *pl_carve_floats(pl_carver *carver, size_t count);
int *pl_carve_ints(pl_carver *carver, size_t count);

/* Where the outputs of a one-dimensional resize get their values: output o is the sum over t <
 * taps of weight[o * taps + t] * input[start[o] + t]. Inputs past the end have weight 0. */
typedef struct pl_filter {
  int in, out, taps;
  float *weight; /* (out, taps) */
  int *start;    /* (out) */
} pl_filter;

/* Reserves a filter's arrays. */
pl_filter pl_filter_carve(pl_carver *carver, int in, int out, pl_interpolation interpolation);

/* Weights for resizing as torch.nn.functional.interpolate does with antialias and without aligned
 * corners: the kernel's support grows with the factor of shrinking, and at the edges the weights
 * are normalised to what is left. `scale` multiplies all weights; mirror reverses the outputs. */
void pl_filter_fill(pl_filter *filter, pl_interpolation interpolation, double scale, bool mirror);

typedef struct pl_box {
  int top, left, height, width;
} pl_box;

/* Scratch of pl_resize_box, for a horizontal filter from `in` to `out` with so many taps. */
typedef struct pl_resize_scratch {
  float *row;     /* 3 * (in + taps) + 1 */
  float *rows;    /* (box height, out, 4) */
  float *out_row; /* (out, 4) */
} pl_resize_scratch;

pl_resize_scratch pl_resize_carve(pl_carver *carver, const pl_filter *horizontal, int height);

/* The box of an 8-bit image, resized into `planes`; filters: horizontal with in = box width,
 * vertical with in = box height. */
void pl_resize_box(const pl_image *image, pl_box box, const pl_filter *horizontal,
                   const pl_filter *vertical, const pl_resize_scratch *scratch, float *planes);

void pl_clamp(float *planes, size_t n);

/* n: elements of one plane; `size` of its rows. */
void pl_brightness(float *planes, size_t n, float factor);
void pl_contrast(float *planes, int size, float factor);
void pl_saturation(float *planes, size_t n, float factor);
void pl_hue(float *planes, size_t n, float shift);
void pl_grey(float *planes, size_t n);
void pl_solarize(float *planes, size_t n);

/* Gaussian blur with reflected edges; kernel odd; weight: kernel; padded: size + kernel - 1;
 * plane: size * size. */
void pl_blur(float *planes, int size, int kernel, float sigma, float *weight, float *padded,
             float *plane);

/* (3, n) to normalised (n, 3). */
void pl_normalise(const float *planes, size_t n, const float mean[3], const float std[3],
                  float *view);

#endif
