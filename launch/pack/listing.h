/* What is to be packed: a list of images with what is known of each. Rank 0 makes it, so that all
 * ranks see the same whatever their file systems' caches, and gives it to the others. */
#ifndef LAUNCH_PACK_LISTING_H
#define LAUNCH_PACK_LISTING_H

#include "launch/pack/names.h"
#include "runtime/base/file.h"

/* What the command line says of the source. */
typedef struct pl_list_options {
  const char *source; /* file or folder */
  bool skip_bad;      /* name and leave out samples that are incomplete, instead of failing */
  char separator;     /* of tables: between the fields of a row; 0: by the file's ending */
  const char *image_column, *caption_columns; /* of tables; captions: "" for none, or "a,b" */
  const char *label_column;                   /* NULL: none */
} pl_list_options;

typedef struct pl_listed {
  int64_t place; /* in a table: line of its row; in a tar file: its number among the members */
  int64_t captions_end; /* its captions are those from the end of the image before up to here */
  int32_t label;        /* -1: none */
  int32_t tar;          /* which of the tar files holds it */
} pl_listed;

/* Zero-initialised it is empty. */
typedef struct pl_listing {
  char root[PL_PATH_MAX]; /* the folder from which paths count */
  pl_names files;         /* paths of images, or names of members of tar files */
  pl_listed *listed;      /* (files.count) */
  pl_names captions;      /* of all images, one image's after another's */
  pl_names classes;       /* none: images have no labels */
  bool by_lines;          /* it comes from a table: places are lines */
  pl_names tars;          /* paths of tar files; none: images are files of their own */
  int64_t ignored;        /* files that are of no use, by their names */
} pl_listing;

/* Sets the root. PL_E_DATA where there is no such folder. */
pl_status pl_listing_set_root(pl_listing *listing, const char *folder);
/* Sets the root to the folder of a file. */
pl_status pl_listing_set_root_of(pl_listing *listing, const char *file);

/* Adds a caption to the image that is added next, without the blanks and line ends around it.
 * PL_E_DATA for one that is empty, not UTF-8 or longer than 1 MiB. `text` need not end with a zero.
 */
pl_status pl_listing_add_caption(pl_listing *listing, const char *text, size_t size);
/* Adds an image with the captions added since the one before; its captions_end is set here. */
pl_status pl_listing_add(pl_listing *listing, const char *file, const pl_listed *about);
/* Forgets the captions added since the last image. */
void pl_listing_forget_captions(pl_listing *listing);

/* With `status` PL_OK adds the image. PL_E_DATA means that it is incomplete: with `skip_bad` that
 * is told and forgotten, otherwise handed on. */
pl_status pl_listing_settle(pl_listing *listing, const char *file, const pl_listed *about,
                            bool skip_bad, pl_status status);

/* Makes classes of the images' labels (files.count; "" for none): where all are whole numbers below
 * 100000 those are the labels, and the classes' names; else the different words, sorted by bytes.
 */
pl_status pl_listing_name_classes(pl_listing *listing, const pl_names *labels);

/* Gives all ranks rank 0's listing. Collective. */
pl_status pl_listing_broadcast(pl_comm *comm, pl_listing *listing);

/* First of an image's captions; the others follow it. */
static inline int64_t pl_listing_first_caption(const pl_listing *listing, int64_t image) {
  return image == 0 ? 0 : listing->listed[image - 1].captions_end;
}

void pl_listing_free(pl_listing *listing);

#endif
