/* The first half of augment.h: checking the options and drawing a view's parameters. */
#include <math.h>

#include "runtime/data/augment.h"

/* The largest output side: with it no product of sizes leaves an int. */
enum { SIZE_MAX_SIDE = 8192, BLUR_KERNEL_MAX = 1023 };

static pl_status check_range(const char *name, double value, double low, double high) {
  if (value >= low && value <= high) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "augmentation: %s is %g; it must lie in [%g, %g]", name, value, low,
                 high);
}

pl_status pl_augment_check(const pl_augment_options *o) {
  const double tiny = 1e-6, large = 1e6;
  PL_TRY(check_range("size", o->size, 1, SIZE_MAX_SIDE));
  PL_TRY(check_range("largest crop", o->crop_max, tiny, 1));
  PL_TRY(check_range("smallest crop", o->crop_min, tiny, o->crop_max));
  PL_TRY(check_range("largest aspect ratio", o->aspect_max, tiny, large));
  PL_TRY(check_range("smallest aspect ratio", o->aspect_min, tiny, o->aspect_max));
  PL_TRY(check_range("probability of a flip", o->flip, 0, 1));
  PL_TRY(check_range("probability of colour jitter", o->jitter, 0, 1));
  PL_TRY(check_range("brightness", o->brightness, 0, large));
  PL_TRY(check_range("contrast", o->contrast, 0, large));
  PL_TRY(check_range("saturation", o->saturation, 0, large));
  PL_TRY(check_range("hue", o->hue, 0, 0.5));
  PL_TRY(check_range("probability of grey", o->grey, 0, 1));
  PL_TRY(check_range("probability of blur", o->blur, 0, 1));
  if (o->blur > 0) {
    PL_TRY(check_range("largest sigma of blur", o->blur_sigma_max, tiny, large));
    PL_TRY(check_range("smallest sigma of blur", o->blur_sigma_min, tiny, o->blur_sigma_max));
  }
  PL_TRY(check_range("kernel of blur", o->blur_kernel, 0, BLUR_KERNEL_MAX));
  if (o->blur_kernel != 0 && o->blur_kernel % 2 == 0) {
    return PL_FAIL(PL_E_USAGE,
                   "augmentation: kernel of blur is %d; it must be odd, or 0 for a "
                   "tenth of the size",
                   o->blur_kernel);
  }
  PL_TRY(check_range("probability of solarize", o->solarize, 0, 1));
  PL_TRY(check_range("centre ratio", o->centre_ratio, tiny, 1));
  for (int c = 0; c < 3; c++) {
    PL_TRY(check_range("mean", o->mean[c], -large, large));
    PL_TRY(check_range("standard deviation", o->std[c], tiny, large));
  }
  return PL_OK;
}

static int bounded(double value, int low, int high) {
  return value < low ? low : (value > high ? high : (int)value);
}

/* A place for a box of `inner` in `outer`: 0 … outer - inner, evenly. */
static int draw_place(pl_random *random, int outer, int inner) {
  int places = outer - inner + 1;
  return bounded((double)pl_random_uniform(random) * places, 0, places - 1);
}

static void draw_crop(const pl_augment_options *options, int width, int height, pl_random *random,
                      pl_view_params *params) {
  const double area = (double)width * height;
  const float log_low = (float)log(options->aspect_min), log_high = (float)log(options->aspect_max);
  for (int attempt = 0; attempt < 10; attempt++) {
    double share = pl_random_range(random, (float)options->crop_min, (float)options->crop_max);
    double aspect = exp((double)pl_random_range(random, log_low, log_high));
    double box_width = rint(sqrt(area * share * aspect));
    double box_height = rint(sqrt(area * share / aspect));
    if (box_width < 1 || box_width > width || box_height < 1 || box_height > height) continue;
    params->width = (int)box_width;
    params->height = (int)box_height;
    params->top = draw_place(random, height, params->height);
    params->left = draw_place(random, width, params->width);
    return;
  }
  double ratio = (double)width / height;
  params->width = width;
  params->height = height;
  if (ratio < options->aspect_min) {
    params->height = bounded(rint(width / options->aspect_min), 1, height);
  } else if (ratio > options->aspect_max) {
    params->width = bounded(rint(height * options->aspect_max), 1, width);
  }
  params->top = (height - params->height) / 2;
  params->left = (width - params->width) / 2;
}

static bool draw_chance(pl_random *random, double probability) {
  return (double)pl_random_uniform(random) < probability;
}

static float draw_factor(pl_random *random, double strength) {
  double low = strength < 1 ? 1 - strength : 0;
  return pl_random_range(random, (float)low, (float)(1 + strength));
}

void pl_augment_draw(const pl_augment_options *options, int width, int height, pl_random *random,
                     pl_view_params *params) {
  *params = (pl_view_params){0};
  params->flip = draw_chance(random, options->flip);
  params->jitter = draw_chance(random, options->jitter);
  for (int i = 0; i < 4; i++) {
    int j = bounded((double)pl_random_uniform(random) * (i + 1), 0, i);
    params->jitter_order[i] = params->jitter_order[j];
    params->jitter_order[j] = i;
  }
  params->brightness = draw_factor(random, options->brightness);
  params->contrast = draw_factor(random, options->contrast);
  params->saturation = draw_factor(random, options->saturation);
  params->hue = pl_random_range(random, -(float)options->hue, (float)options->hue);
  params->grey = draw_chance(random, options->grey);
  params->blur = draw_chance(random, options->blur);
  params->sigma =
      pl_random_range(random, (float)options->blur_sigma_min, (float)options->blur_sigma_max);
  params->solarize = draw_chance(random, options->solarize);
  /* Last, as the number of tries varies: nothing above depends on it. */
  if (options->random_crop) {
    draw_crop(options, width, height, random, params);
  } else {
    pl_view_params centre;
    pl_augment_centre(options, width, height, &centre);
    params->top = centre.top;
    params->left = centre.left;
    params->height = centre.height;
    params->width = centre.width;
  }
}

void pl_augment_centre(const pl_augment_options *options, int width, int height,
                       pl_view_params *params) {
  int shorter = width < height ? width : height;
  int side = bounded(rint(shorter * options->centre_ratio), 1, shorter);
  *params = (pl_view_params){
      .top = (height - side) / 2,
      .left = (width - side) / 2,
      .height = side,
      .width = side,
      .jitter_order = {PL_JITTER_BRIGHTNESS, PL_JITTER_CONTRAST, PL_JITTER_SATURATION,
                       PL_JITTER_HUE},
      .brightness = 1,
      .contrast = 1,
      .saturation = 1,
  };
}
