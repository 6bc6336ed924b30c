/* The pieces of the gallery; inside launch/gallery*.c. Each writes HTML, on rank 0; like stdio they
 * leave errors of `out` with `out`. */
#ifndef LAUNCH_GALLERY_PARTS_H
#define LAUNCH_GALLERY_PARTS_H

#include <stdio.h>

#include "launch/gallery/picture.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"

/* What was embedded, in the order in which it was drawn. A sample's place is its index here. */
typedef struct pl_gallery {
  const pl_config *config;
  const pl_dataset *dataset;
  int classes; /* 0: no labels */
  int64_t count;
  int width;
  float *values;   /* (count, width): finite rows of unit length, or zero */
  int32_t *labels; /* (count); -1 without label */
  int64_t *sample; /* (count): indices in the dataset */
} pl_gallery;

/* Samples beside those that their representations are nearest to. */
pl_status pl_gallery_neighbours(const pl_gallery *gallery, FILE *out);

/* All representations in the plane of their two leading principal components. */
pl_status pl_gallery_map(const pl_gallery *gallery, FILE *out);

/* Samples beside the views of them that training draws. */
pl_status pl_gallery_views(const pl_gallery *gallery, FILE *out);

/* The style of all three. */
void pl_gallery_style(FILE *out);

/* Chooses up to `wanted` samples: of as many classes as possible, spread evenly over all of them;
 * without classes spread evenly over the samples.
 * Writes their places, returns their number. */
int pl_gallery_choose(const pl_gallery *gallery, int wanted, int64_t *places);

/* What a sample is called, escaped: its class, else its first caption, else its number. */
void pl_gallery_sample_name(const pl_gallery *gallery, int64_t place, FILE *out);

/* The name of a class, escaped; "no label" for what is none. */
void pl_gallery_class_name(const pl_gallery *gallery, int32_t label, FILE *out);

/* Reads a sample's image into `image`, which is the caller's to free. *whole is false where it is
 * damaged: it is then left out, and the log says so. */
pl_status pl_gallery_read(const pl_gallery *gallery, int64_t place, pl_image *image, bool *whole);

/* Takes the evaluation view: what the encoder sees of an image. */
pl_status pl_gallery_take_plain(const pl_gallery *gallery, const pl_image *image,
                                pl_picture *picture);

/* Writes `<img … alt="`: the caller goes on with the alternative text and closes with `">`. */
pl_status pl_gallery_begin_img(const pl_image *image, FILE *out);

#endif
