/* Listed images as a source of samples. */
#ifndef LAUNCH_PACK_IMAGES_H
#define LAUNCH_PACK_IMAGES_H

#include "launch/pack/listing.h"
#include "launch/pack/pack.h"

typedef enum pl_storage_choice {
  PL_STORE_AUTO, /* pixels where all images have one small size, else encoded */
  PL_STORE_PIXELS,
  PL_STORE_ENCODED
} pl_storage_choice;

typedef struct pl_images_options {
  /* Makes the listing; one rank calls it. */
  pl_status (*list)(const pl_list_options *options, pl_listing *listing);
  pl_list_options listed; /* its skip_bad also leaves undecodable images out */
  pl_storage_choice storage;
  int size; /* 0: as they are; else the shorter side is resized to it and the centre kept */
} pl_images_options;

typedef struct pl_images pl_images;

/* Lists the images and decodes each once: so that a bad one is known before anything is written,
 * and so that sizes, which decide the storage and the cut of shards, are known on all ranks.
 * Collective. */
pl_status pl_images_open(pl_comm *comm, const pl_images_options *options, pl_images **out);
void pl_images_close(pl_images **images);

/* Valid as long as the images; its ids count all images listed, also those that turned out not to
 * be decodable. */
const pl_source *pl_images_source(const pl_images *images);

#endif
