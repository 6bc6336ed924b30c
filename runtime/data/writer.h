/* Writing datasets: shards one by one, then the manifest over all of them. */
#ifndef PL_DATA_WRITER_H
#define PL_DATA_WRITER_H

#include "runtime/data/dataset.h"

/* One sample to be stored. `image` is h*w*3 bytes for PL_IMAGE_PIXELS, else an encoded file. */
typedef struct pl_sample {
  const uint8_t *image;
  size_t image_bytes;
  int32_t label; /* -1 without */
  int64_t id;    /* greater than that of the sample before */
  int captions;
  const char *const *caption; /* UTF-8, zero-terminated */
} pl_sample;

typedef struct pl_shard_options {
  pl_image_storage storage;
  int height, width; /* PL_IMAGE_ENCODED: 0 where images differ in size */
  bool captions;
} pl_shard_options;

/* What the manifest says of a shard; plain data, gathered from the ranks that wrote them. */
typedef struct pl_shard_record {
  char name[32];
  int64_t samples, captions, bytes;
  char hash[33];
} pl_shard_record;

typedef struct pl_shard_writer pl_shard_writer;

/* Starts "part-NNNNN.h5" of `index` in an existing folder. Samples are streamed to disk; only about
 * 30 bytes of each stay in memory until the shard is finished. The same samples give the same
 * file, byte for byte. */
pl_status pl_shard_writer_open(const char *folder, int index, const pl_shard_options *options,
                               pl_shard_writer **out);
pl_status pl_shard_writer_add(pl_shard_writer *writer, const pl_sample *sample);
/* Closes, syncs, hashes; fills `record`. On failure the file is removed. Frees the writer. */
pl_status pl_shard_writer_finish(pl_shard_writer **writer, pl_shard_record *record);
/* Gives the shard up and frees the writer; NULL content is allowed. */
void pl_shard_writer_discard(pl_shard_writer **writer);

/* Whether the manifest can hold such a class name: PL_E_DATA unless it is UTF-8, not empty,
 * and without control characters. */
pl_status pl_dataset_check_class_name(const char *name);

/* Writes dataset.yaml durably: after it the dataset is there, before it is not. `kind` is "image"
 * or "image-text". class_names may be NULL with classes 0. */
pl_status pl_dataset_manifest_write(const char *folder, const char *kind,
                                    const pl_shard_options *options, int shards,
                                    const pl_shard_record *records, int classes,
                                    const char *const *class_names);

#endif
