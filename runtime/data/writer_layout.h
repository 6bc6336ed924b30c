/* The HDF5 file of a shard, with its small arrays written and room left for the large ones. Inside
 * runtime/data only. */
#ifndef PL_DATA_WRITER_LAYOUT_H
#define PL_DATA_WRITER_LAYOUT_H

#include "runtime/data/writer.h"

typedef enum pl_layout_type { PL_LAYOUT_INT32, PL_LAYOUT_INT64, PL_LAYOUT_UINT32 } pl_layout_type;

typedef struct pl_layout_array {
  const char *name;
  pl_layout_type type;
  const void *entries;
  size_t count;
} pl_layout_array;

typedef struct pl_layout {
  const char *path;
  int64_t samples;
  pl_shard_options options;        /* tells which of the arrays the file has */
  int64_t image_bytes, text_bytes; /* of the large arrays */
  const pl_layout_array *arrays;
  size_t array_count;
  int64_t images_at, texts_at; /* out: where in the file the large arrays' bytes go */
} pl_layout;

/* Creates the file. PL_E_IO; a half-made file is then left for the caller to remove. */
pl_status pl_layout_create(pl_layout *layout);

#endif
