/* One shard, opened: its index in memory and the places of its payloads in the file. Inside
 * runtime/data, and for programs that look at a dataset shard by shard. */
#ifndef PL_DATA_SHARD_H
#define PL_DATA_SHARD_H

#include "runtime/data/manifest.h"

typedef struct pl_shard {
  char path[PL_PATH_MAX];
  int fd;
  int64_t samples, captions, bytes;
  pl_image_storage storage;
  int height, width;     /* 0: images differ */
  int64_t image_at;      /* file offset of the image bytes */
  int64_t *image_offset; /* (samples+1), relative to image_at; NULL for pixels */
  int32_t *label;        /* (samples) */
  int64_t *id;           /* (samples) */
  uint32_t *image_crc;   /* (samples) */
  int64_t text_at;       /* file offset of the captions' bytes */
  int64_t *text_first;   /* (samples+1); NULL without captions */
  int64_t *text_offset;  /* (captions+1), relative to text_at */
  uint32_t *text_crc;    /* (captions) */
} pl_shard;

/* Opens shard `index` and reads its index, checking everything against the file's size and the
 * manifest. On failure the shard is closed. */
pl_status pl_shard_open(const pl_dataset_manifest *manifest, int index, pl_shard *shard);

/* May be repeated; a shard that was never opened must have fd -1. */
void pl_shard_close(pl_shard *shard);

/* As pl_dataset_read_image and pl_dataset_read_caption, for the sample at `position`. */
pl_status pl_shard_read_image(const pl_shard *shard, int64_t position, pl_image *image);
pl_status pl_shard_read_caption(const pl_shard *shard, int64_t position, int index, char *text,
                                size_t capacity);

/* Checks the file's hash and every sample's checksums, images and captions, without decoding. Each
 * damaged sample is reported with its reason; `report` may be NULL. PL_E_DATA sums up: how many
 * samples are damaged, and the first, or that the damage lies outside of all samples. */
pl_status pl_shard_verify(const pl_shard *shard, const pl_shard_record *record,
                          void (*report)(void *context, const pl_reason *reason), void *context);

#endif
