/* The images of a folder: which files there are, and of which class. */
#ifndef LAUNCH_DATA_LISTING_H
#define LAUNCH_DATA_LISTING_H

#include "launch/data_names.h"

/* Zero-initialised it is empty. Files are sorted by bytes, class by class. */
typedef struct pl_listing {
  pl_names classes;   /* the folders in `folder`, sorted by bytes; none: images have no labels */
  pl_names files;     /* paths from `folder` on */
  int64_t *class_end; /* (classes): files[0 .. class_end[c]) are of classes up to c */
  int64_t ignored;    /* files that are no images by their names */
} pl_listing;

/* Lists SOURCE/<class>/…/<name>.jpg, .jpeg and .png, or, where there are no folders in it,
 * SOURCE/<name>.jpg …. Names that begin with a dot are passed over. PL_E_DATA for a class without
 * images, and for images beside class folders. Not collective. */
pl_status pl_listing_read(const char *folder, pl_listing *listing);

/* Gives all ranks rank 0's listing. Collective. */
pl_status pl_listing_broadcast(pl_comm *comm, pl_listing *listing);

/* Class of a file; -1 without classes. */
int32_t pl_listing_label(const pl_listing *listing, int64_t file);

void pl_listing_free(pl_listing *listing);

#endif
