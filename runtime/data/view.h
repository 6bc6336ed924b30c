/* What makes a view out of an image: the parameters that are drawn for it (augment.h), plain data
 * that also device code reads. */
#ifndef PL_DATA_VIEW_H
#define PL_DATA_VIEW_H

#include <stdbool.h>

typedef enum pl_interpolation { PL_BILINEAR, PL_BICUBIC } pl_interpolation;

enum { PL_JITTER_BRIGHTNESS, PL_JITTER_CONTRAST, PL_JITTER_SATURATION, PL_JITTER_HUE };

/* Parameters of one view. A brightness, contrast or saturation of 1 and a hue of 0 change nothing
 * and are skipped. */
typedef struct pl_view_params {
  int top, left, height, width; /* crop box in the source image */
  bool flip, jitter, grey, blur, solarize;
  int jitter_order[4];
  float brightness, contrast, saturation, hue, sigma;
} pl_view_params;

#endif
