/* The second half of augment.h: the view for given parameters. */
#include "runtime/data/augment.h"

#include "runtime/base/memory.h"
#include "runtime/data/augment_ops.h"

float *pl_carve_floats(pl_carver *carver, size_t count) {
  float *part = carver->at ? (float *)(void *)(carver->at + carver->used) : NULL;
  carver->used += pl_align_up(count * sizeof *part);
  return part;
}

int *pl_carve_ints(pl_carver *carver, size_t count) {
  int *part = carver->at ? (int *)(void *)(carver->at + carver->used) : NULL;
  carver->used += pl_align_up(count * sizeof *part);
  return part;
}

/* Everything that one view needs besides its source and its result. */
typedef struct workplace {
  pl_filter horizontal, vertical;
  pl_resize_scratch resize;
  float *planes;
  float *blur_weight, *blur_padded, *blur_plane;
} workplace;

int pl_augment_blur_kernel(const pl_augment_options *options) {
  if (options->blur_kernel > 0) return options->blur_kernel;
  int nearest_odd = 2 * (options->size / 20) + 1;
  return nearest_odd < 3 ? 3 : nearest_odd;
}

static workplace carve_workplace(pl_carver *carver, const pl_augment_options *options,
                                 const pl_view_params *params) {
  const int size = options->size;
  const size_t plane = (size_t)size * size;
  workplace w = {0};
  w.horizontal = pl_filter_carve(carver, params->width, size, options->interpolation);
  w.vertical = pl_filter_carve(carver, params->height, size, options->interpolation);
  w.resize = pl_resize_carve(carver, &w.horizontal, params->height);
  w.planes = pl_carve_floats(carver, 3 * plane);
  if (params->blur) {
    int kernel = pl_augment_blur_kernel(options);
    w.blur_weight = pl_carve_floats(carver, (size_t)kernel);
    w.blur_padded = pl_carve_floats(carver, (size_t)size + (size_t)kernel);
    w.blur_plane = pl_carve_floats(carver, plane);
  }
  return w;
}

static pl_status reserve(pl_augment_scratch *scratch, size_t bytes) {
  pl_augment_scratch_free(scratch);
  scratch->block = pl_alloc(bytes, 1);
  if (!scratch->block) return PL_E_INTERNAL;
  scratch->capacity = bytes;
  return PL_OK;
}

void pl_augment_scratch_free(pl_augment_scratch *scratch) {
  pl_free(scratch->block);
  *scratch = (pl_augment_scratch){0};
}

pl_status pl_augment_reserve(const pl_augment_options *options, int width, int height,
                             pl_augment_scratch *scratch) {
  const pl_view_params whole = {.width = width, .height = height, .blur = options->blur > 0};
  pl_carver carver = {0};
  carve_workplace(&carver, options, &whole);
  return carver.used > scratch->capacity ? reserve(scratch, carver.used) : PL_OK;
}

static void jitter(const pl_view_params *params, int size, float *planes) {
  const size_t n = (size_t)size * size;
  for (int i = 0; i < 4; i++) {
    switch (params->jitter_order[i]) {
      case PL_JITTER_BRIGHTNESS:
        if (params->brightness != 1) pl_brightness(planes, n, params->brightness);
        break;
      case PL_JITTER_CONTRAST:
        if (params->contrast != 1) pl_contrast(planes, size, params->contrast);
        break;
      case PL_JITTER_SATURATION:
        if (params->saturation != 1) pl_saturation(planes, n, params->saturation);
        break;
      default:
        if (params->hue != 0) pl_hue(planes, n, params->hue);
    }
  }
}

/* Checks the crop box and finds room for everything. */
static pl_status open_workplace(const pl_augment_options *options, const pl_view_params *params,
                                const pl_image *image, pl_augment_scratch *scratch,
                                workplace *out) {
  const pl_box box = {params->top, params->left, params->height, params->width};
  if (box.height < 1 || box.width < 1 || box.top < 0 || box.left < 0 ||
      box.top > image->height - box.height || box.left > image->width - box.width) {
    return PL_FAIL(PL_E_INTERNAL, "crop of %dx%d at (%d, %d) in an image of %dx%d", box.width,
                   box.height, box.left, box.top, image->width, image->height);
  }
  pl_carver carver = {0};
  carve_workplace(&carver, options, params);
  /* Half as much again, so that slowly growing crops don't reallocate each time. */
  if (carver.used > scratch->capacity) PL_TRY(reserve(scratch, carver.used + carver.used / 2));
  carver = (pl_carver){.at = scratch->block};
  *out = carve_workplace(&carver, options, params);
  return PL_OK;
}

static void resize(const pl_augment_options *options, const pl_view_params *params,
                   const pl_image *image, workplace *w, float *planes) {
  const pl_box box = {params->top, params->left, params->height, params->width};
  /* Bytes become [0, 1] and the view is mirrored on the way through the horizontal filter. */
  pl_filter_fill(&w->horizontal, options->interpolation, 1.0 / 255, params->flip);
  pl_filter_fill(&w->vertical, options->interpolation, 1, false);
  pl_resize_box(image, box, &w->horizontal, &w->vertical, &w->resize, planes);
  if (options->interpolation == PL_BICUBIC) {
    pl_clamp(planes, 3 * (size_t)options->size * (size_t)options->size);
  }
}

pl_status pl_augment_resize(const pl_augment_options *options, const pl_view_params *params,
                            const pl_image *image, pl_augment_scratch *scratch, float *planes) {
  workplace w;
  PL_TRY(open_workplace(options, params, image, scratch, &w));
  resize(options, params, image, &w, planes);
  return PL_OK;
}

pl_status pl_augment_apply(const pl_augment_options *options, const pl_view_params *params,
                           const pl_image *image, pl_augment_scratch *scratch, float *view) {
  workplace w;
  PL_TRY(open_workplace(options, params, image, scratch, &w));
  const int size = options->size;
  const size_t n = (size_t)size * size;
  resize(options, params, image, &w, w.planes);
  if (params->jitter) jitter(params, size, w.planes);
  if (params->grey) pl_grey(w.planes, n);
  if (params->blur) {
    pl_blur(w.planes, size, pl_augment_blur_kernel(options), params->sigma, w.blur_weight,
            w.blur_padded, w.blur_plane);
  }
  if (params->solarize) pl_solarize(w.planes, n);
  pl_normalise(w.planes, n, options->mean, options->std, view);
  return PL_OK;
}
