/* One image file after another, read, decoded and resized. */
#ifndef LAUNCH_PACK_IMAGE_FILE_H
#define LAUNCH_PACK_IMAGE_FILE_H

#include "runtime/data/augment.h"

/* Zero-initialised it is empty; memory is reused from file to file. */
typedef struct pl_image_file {
  pl_image image; /* `packed` holds the file */
  size_t size;    /* of the file, in bytes */
  pl_augment_scratch scratch;
  float *view;
  int view_side;
} pl_image_file;

/* Reads folder/name. PL_E_DATA for a missing or empty one. */
pl_status pl_image_file_read(pl_image_file *file, const char *folder, const char *name);

/* Makes room for a file of so many bytes, for callers that have it from elsewhere; `name` is for
 * the message. PL_E_DATA for an empty one and one larger than any image. */
pl_status pl_image_file_reserve(pl_image_file *file, const char *name, int64_t bytes);

/* Resizes the decoded image so that its shorter side is `side` (bicubic, antialiased), and keeps
 * the centre: side x side pixels. */
pl_status pl_image_file_resize(pl_image_file *file, int side);

void pl_image_file_free(pl_image_file *file);

#endif
