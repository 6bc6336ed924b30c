/* One image file after another, read, decoded and resized. */
#ifndef LAUNCH_IMAGE_FILE_H
#define LAUNCH_IMAGE_FILE_H

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

/* Reads and decodes it; errors name it. */
pl_status pl_image_file_decode(pl_image_file *file, const char *folder, const char *name);

/* Resizes the decoded image so that its shorter side is `side` (bicubic, antialiased), and keeps
 * the centre: side x side pixels. */
pl_status pl_image_file_resize(pl_image_file *file, int side);

void pl_image_file_free(pl_image_file *file);

#endif
