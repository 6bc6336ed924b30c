#include "runtime/data/shard.h"

#include <string.h>

#include "runtime/base/filehash.h"
#include "runtime/base/hash.h"
#include "runtime/data/decode.h"

enum { TEXT_BLOCK_BYTES = 4096 };

static pl_status name_sample(pl_status status, const pl_shard *shard, int64_t position) {
  return pl_context(status, "%s, sample %lld (id %lld)", shard->path, (long long)position,
                    (long long)shard->id[position]);
}

/* Reads and checks the stored bytes of an image into `into`. */
static pl_status read_checked(const pl_shard *shard, int64_t position, int64_t offset, size_t size,
                              uint8_t *into) {
  PL_TRY(pl_read_at(shard->fd, shard->path, into, size, shard->image_at + offset));
  uint32_t crc = pl_crc32c(0, into, size);
  if (crc == shard->image_crc[position]) return PL_OK;
  return PL_FAIL(PL_E_DATA, "image damaged: checksum %08x instead of %08x", crc,
                 shard->image_crc[position]);
}

static pl_status read_pixels(const pl_shard *shard, int64_t position, pl_image *image) {
  PL_TRY(pl_image_resize(image, shard->width, shard->height));
  size_t size = (size_t)shard->width * (size_t)shard->height * 3;
  return read_checked(shard, position, position * (int64_t)size, size, image->pixels);
}

static pl_status read_packed(const pl_shard *shard, int64_t position, pl_image *image,
                             size_t *size) {
  int64_t offset = shard->image_offset[position];
  *size = (size_t)(shard->image_offset[position + 1] - offset);
  PL_TRY(pl_image_reserve_packed(image, *size));
  return read_checked(shard, position, offset, *size, image->packed);
}

static pl_status read_encoded(const pl_shard *shard, int64_t position, pl_image *image) {
  size_t size = 0;
  PL_TRY(read_packed(shard, position, image, &size));
  PL_TRY(pl_decode_image(image->packed, size, image));
  if (shard->width != 0 && (image->width != shard->width || image->height != shard->height)) {
    return PL_FAIL(PL_E_DATA, "image of %d x %d pixels where %s says that all have %d x %d",
                   image->width, image->height, PL_DATASET_MANIFEST, shard->width, shard->height);
  }
  return PL_OK;
}

pl_status pl_shard_read_image(const pl_shard *shard, int64_t position, pl_image *image) {
  pl_status status = shard->storage == PL_IMAGE_PIXELS ? read_pixels(shard, position, image)
                                                       : read_encoded(shard, position, image);
  return name_sample(status, shard, position);
}

/* Ends `text` before a character that was cut in two; `length` bytes of it are there. */
static void end_at_character(char *text, size_t length, bool cut) {
  if (cut) {
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) start--;
    if (start > 0) {
      unsigned char lead = (unsigned char)text[start - 1];
      size_t whole = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
      if (length - (start - 1) < whole) length = start - 1;
    }
  }
  text[length] = '\0';
}

/* Reads a caption piece by piece, since it may be longer than what the caller has room for, and
 * the checksum needs all of it. */
static pl_status read_caption(const pl_shard *shard, int64_t caption, char *text, size_t capacity) {
  uint8_t block[TEXT_BLOCK_BYTES];
  int64_t offset = shard->text_offset[caption];
  size_t size = (size_t)(shard->text_offset[caption + 1] - offset);
  size_t kept = 0;
  uint32_t crc = 0;
  for (size_t done = 0; done < size;) {
    size_t part = size - done < sizeof block ? size - done : sizeof block;
    PL_TRY(
        pl_read_at(shard->fd, shard->path, block, part, shard->text_at + offset + (int64_t)done));
    crc = pl_crc32c(crc, block, part);
    size_t room = capacity - 1 - kept;
    size_t take = part < room ? part : room;
    memcpy(text + kept, block, take);
    kept += take;
    done += part;
  }
  end_at_character(text, kept, kept < size);
  if (crc == shard->text_crc[caption]) return PL_OK;
  return PL_FAIL(PL_E_DATA, "caption damaged: checksum %08x instead of %08x", crc,
                 shard->text_crc[caption]);
}

pl_status pl_shard_read_caption(const pl_shard *shard, int64_t position, int index, char *text,
                                size_t capacity) {
  int64_t caption = shard->text_first[position] + index;
  return name_sample(read_caption(shard, caption, text, capacity), shard, position);
}

static pl_status check_sample(const pl_shard *shard, int64_t position, pl_image *scratch) {
  size_t size = 0;
  char text[1];
  pl_status status = shard->storage == PL_IMAGE_PIXELS
                         ? read_pixels(shard, position, scratch)
                         : read_packed(shard, position, scratch, &size);
  if (shard->text_first) {
    int64_t end = shard->text_first[position + 1];
    for (int64_t i = shard->text_first[position]; i < end && status == PL_OK; i++) {
      status = read_caption(shard, i, text, sizeof text);
    }
  }
  return name_sample(status, shard, position);
}

pl_status pl_shard_verify(const pl_shard *shard, const pl_shard_record *record,
                          void (*report)(void *context, const pl_reason *reason), void *context) {
  pl_status status = PL_OK;
  pl_image scratch = {0};
  pl_reason first;
  int64_t damaged = 0;
  char hash[PL_HASH_TEXT];
  PL_TRY_OR(done, status, pl_hash_file(shard->fd, shard->path, shard->bytes, hash));
  for (int64_t i = 0; i < shard->samples; i++) {
    status = check_sample(shard, i, &scratch);
    if (status != PL_OK && status != PL_E_DATA) goto done;
    if (status == PL_OK) continue;
    if (damaged++ == 0) first = *pl_last_reason();
    if (report) report(context, pl_last_reason());
  }
  status = PL_OK;
  if (damaged > 0) {
    status = PL_FAIL(PL_E_DATA, "%s: %lld of %lld samples damaged; the first: %s", shard->path,
                     (long long)damaged, (long long)shard->samples, first.message);
  } else if (strcmp(hash, record->hash) != 0) {
    status = PL_FAIL(PL_E_DATA, "%s: hash %s instead of %s; the damage lies outside of all samples",
                     shard->path, hash, record->hash);
  }
done:
  pl_image_free(&scratch);
  return status;
}
