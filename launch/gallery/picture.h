/* Small pictures for pages: views of images as PNG, within the text of the page. */
#ifndef LAUNCH_GALLERY_PICTURE_H
#define LAUNCH_GALLERY_PICTURE_H

#include <stdio.h>

#include "runtime/data/augment.h"

/* Larger views are scaled down to this side. */
enum { PL_PICTURE_SIDE_MAX = 96 };

/* Zero-initialised it is empty; memory is reused from picture to picture. */
typedef struct pl_picture {
  pl_image image; /* what is to be seen, a square */
  pl_image large; /* the same before it is scaled down */
  pl_augment_scratch scratch;
  float *view; /* (view_side, view_side, 3) */
  int view_side;
} pl_picture;

/* Takes a view of `image` as pl_augment_apply makes it, but not normalised. */
pl_status pl_picture_take(pl_picture *picture, const pl_augment_options *options,
                          const pl_view_params *params, const pl_image *image);

void pl_picture_free(pl_picture *picture);

/* Writes an image as "data:image/png;base64,…". Like stdio, it leaves errors of `out` with `out`;
 * PL_E_INTERNAL where the PNG can't be made. */
pl_status pl_write_png_uri(FILE *out, const pl_image *image);

/* RFC 4648, section 4, with padding. */
void pl_write_base64(FILE *out, const uint8_t *bytes, size_t size);

#endif
