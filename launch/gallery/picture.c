#include "launch/gallery/picture.h"

#include <math.h>
#include <png.h>

#include "runtime/base/memory.h"

/* A view as bytes. */
static pl_status render(pl_picture *picture, const pl_augment_options *options,
                        const pl_view_params *params, const pl_image *image, pl_image *out) {
  const size_t values = (size_t)options->size * (size_t)options->size * 3;
  if (picture->view_side < options->size) {
    pl_free(picture->view);
    picture->view_side = 0;
    picture->view = pl_alloc(values, sizeof *picture->view);
    if (!picture->view) return PL_E_INTERNAL;
    picture->view_side = options->size;
  }
  PL_TRY(pl_augment_apply(options, params, image, &picture->scratch, picture->view));
  PL_TRY(pl_image_resize(out, options->size, options->size));
  for (size_t i = 0; i < values; i++) {
    out->pixels[i] = (uint8_t)lrintf(fminf(fmaxf(picture->view[i], 0), 1) * 255);
  }
  return PL_OK;
}

pl_status pl_picture_take(pl_picture *picture, const pl_augment_options *options,
                          const pl_view_params *params, const pl_image *image) {
  pl_augment_options plain = *options;
  for (int c = 0; c < 3; c++) {
    plain.mean[c] = 0;
    plain.std[c] = 1;
  }
  if (options->size <= PL_PICTURE_SIDE_MAX) {
    return render(picture, &plain, params, image, &picture->image);
  }
  PL_TRY(render(picture, &plain, params, image, &picture->large));
  pl_view_params whole;
  plain.size = PL_PICTURE_SIDE_MAX;
  plain.centre_ratio = 1;
  pl_augment_centre(&plain, options->size, options->size, &whole);
  return render(picture, &plain, &whole, &picture->large, &picture->image);
}

void pl_picture_free(pl_picture *picture) {
  pl_image_free(&picture->image);
  pl_image_free(&picture->large);
  pl_augment_scratch_free(&picture->scratch);
  pl_free(picture->view);
  *picture = (pl_picture){0};
}

void pl_write_base64(FILE *out, const uint8_t *bytes, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    size_t left = size - i;
    unsigned group = (unsigned)bytes[i] << 16;
    if (left > 1) group |= (unsigned)bytes[i + 1] << 8;
    if (left > 2) group |= bytes[i + 2];
    const char text[] = {digits[group >> 18], digits[group >> 12 & 63],
                         left > 1 ? digits[group >> 6 & 63] : '=',
                         left > 2 ? digits[group & 63] : '='};
    fwrite(text, 1, sizeof text, out);
  }
}

pl_status pl_write_png_uri(FILE *out, const pl_image *image) {
  png_image png = {.version = PNG_IMAGE_VERSION,
                   .width = (png_uint_32)image->width,
                   .height = (png_uint_32)image->height,
                   .format = PNG_FORMAT_RGB};
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  uint8_t *file = pl_alloc(size, 1);
  if (!file) return PL_E_INTERNAL;
  pl_status status = PL_OK;
  if (png_image_write_to_memory(&png, file, &size, 0, image->pixels, 0, NULL)) {
    fputs("data:image/png;base64,", out);
    pl_write_base64(out, file, size);
  } else {
    status = PL_FAIL(PL_E_INTERNAL, "cannot make a PNG of %dx%d pixels: %s", image->width,
                     image->height, png.message);
  }
  png_image_free(&png);
  pl_free(file);
  return status;
}
