/* A folder of images as a source of samples. */
#ifndef LAUNCH_DATA_FOLDER_H
#define LAUNCH_DATA_FOLDER_H

#include "launch/data_pack.h"

typedef enum pl_storage_choice {
  PL_STORE_AUTO, /* pixels where all images have one small size, else encoded */
  PL_STORE_PIXELS,
  PL_STORE_ENCODED
} pl_storage_choice;

typedef struct pl_folder_options {
  const char *folder;
  pl_storage_choice storage;
  int size;      /* 0: as they are; else the shorter side is resized to it and the centre kept */
  bool skip_bad; /* leave undecodable images out, instead of failing */
} pl_folder_options;

typedef struct pl_folder pl_folder;

/* Lists the images and decodes each once: so that a bad one is known before anything is written,
 * and so that sizes, which decide the storage and the cut of shards, are known on all ranks.
 * Collective. */
pl_status pl_folder_open(pl_comm *comm, const pl_folder_options *options, pl_folder **out);
void pl_folder_close(pl_folder **folder);

/* Valid as long as the folder; its ids count all images listed, also those left out. */
const pl_source *pl_folder_source(const pl_folder *folder);

#endif
