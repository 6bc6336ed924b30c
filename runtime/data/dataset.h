/* A dataset: a folder with `dataset.yaml` and shards `part-NNNNN.h5`.
 *
 * dataset.yaml lists format version, kind, counts, image shape where all are alike, class names,
 * and for each shard its name, samples, captions, bytes and xxHash128 of the file. A shard holds
 * flat contiguous arrays, never variable-length types, all little-endian:
 *
 *   /image/pixels  (n, H, W, 3) uint8     images of one size, decoded; or
 *   /image/bytes   (total) uint8          JPEG or PNG files as they came
 *   /image/offset  (n+1) int64            where each starts in /image/bytes
 *   /label         (n) int32              -1 without label
 *   /id            (n) int64              ascending through the dataset, so unique in it
 *   /crc           (n) uint32             CRC32C of the sample's stored image bytes
 *   /text/bytes    (total) uint8          optional: captions, UTF-8
 *   /text/offset   (captions+1) int64     where each caption starts in /text/bytes
 *   /text/first    (n+1) int64            first caption of each sample
 *   /text/crc      (captions) uint32      CRC32C of each caption
 *
 * HDF5 is called from the opening thread only, to find where in the file each array lies; arrays
 * are then read at their file offsets with pread by as many threads as wish. */
#ifndef PL_DATA_DATASET_H
#define PL_DATA_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

enum { PL_DATASET_VERSION = 1 };

typedef enum pl_image_storage { PL_IMAGE_PIXELS, PL_IMAGE_ENCODED } pl_image_storage;

typedef struct pl_dataset pl_dataset;

typedef struct pl_dataset_info {
  int64_t samples, captions;
  int shards, classes; /* classes 0: no labels */
  pl_image_storage storage;
  int height, width; /* 0 where images differ in size */
  int64_t bytes;     /* of all shards */
  char hash[33];     /* xxHash128 of dataset.yaml: names the dataset on all ranks */
} pl_dataset_info;

/* Opens the dataset in `folder`: reads the manifest, and of every shard the index (offsets, labels,
 * ids, checksums), checking shapes, ranges and file sizes against each other and the manifest.
 * PL_E_DATA names the file and what is wrong with it. Not collective. */
pl_status pl_dataset_open(const char *folder, pl_dataset **out);
void pl_dataset_close(pl_dataset **dataset);

const pl_dataset_info *pl_dataset_get_info(const pl_dataset *dataset);
const char *pl_dataset_class_name(const pl_dataset *dataset, int label); /* NULL out of range */
int32_t pl_dataset_label(const pl_dataset *dataset, int64_t sample);
int64_t pl_dataset_id(const pl_dataset *dataset, int64_t sample);
/* Shard and position in it of a sample, for messages and the ledger. */
void pl_dataset_locate(const pl_dataset *dataset, int64_t sample, int *shard, int64_t *position);
const char *pl_dataset_shard_path(const pl_dataset *dataset, int shard);

/* A decoded image: RGB, 8 bits, rows without gaps. Memory is reused from read to read. */
typedef struct pl_image {
  int width, height;
  uint8_t *pixels;
  size_t capacity; /* bytes that `pixels` can hold */
  uint8_t *packed; /* scratch for encoded bytes */
  size_t packed_capacity;
  size_t decoder_bytes; /* that decoding the last image took besides */
} pl_image;

void pl_image_free(pl_image *image);
/* Sets the size and makes room for that many pixels; what was there is lost. */
pl_status pl_image_resize(pl_image *image, int width, int height);
/* Makes room for `bytes` encoded bytes in `packed`; what was there is lost. */
pl_status pl_image_reserve_packed(pl_image *image, size_t bytes);

/* What the largest image takes. Of encoded ones that is the one with most stored bytes, which is
 * read for it: where images differ in size, an estimate. All zero where that one is corrupt. */
typedef struct pl_image_extent {
  int width, height;
  size_t packed_bytes, decoder_bytes;
} pl_image_extent;

pl_status pl_dataset_largest_image(const pl_dataset *dataset, pl_image_extent *out);

/* Reads, checks (CRC32C) and decodes one sample's image. Safe from several threads with different
 * `image`s. PL_E_DATA names shard, sample and cause; PL_E_IO for read errors. */
pl_status pl_dataset_read_image(const pl_dataset *dataset, int64_t sample, pl_image *image);

int pl_dataset_caption_count(const pl_dataset *dataset, int64_t sample);
/* Length of caption `index` (below the count) of a sample in bytes, without a zero at its end. */
size_t pl_dataset_caption_bytes(const pl_dataset *dataset, int64_t sample, int index);
/* Whose caption number `caption` of all captions of the dataset in stored order is. */
void pl_dataset_locate_caption(const pl_dataset *dataset, int64_t caption, int64_t *sample,
                               int *index);
/* PL_E_DATA names the first sample that has no caption. */
pl_status pl_dataset_check_captioned(const pl_dataset *dataset);
/* Reads and checks (CRC32C) caption `index` of a sample into `text`: zero-terminated, and cut
 * before the first character that does not fit into `capacity` bytes. */
pl_status pl_dataset_read_caption(const pl_dataset *dataset, int64_t sample, int index, char *text,
                                  size_t capacity);

/* Checks one shard whole: the file's hash against the manifest, then every sample's and caption's
 * checksum. PL_E_DATA tells how many samples are damaged and names the first. */
pl_status pl_dataset_verify_shard(const pl_dataset *dataset, int shard);

#endif
