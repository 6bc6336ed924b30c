#include "tests/unit/dataset_fixture.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fixture_folder(char folder[PL_PATH_MAX]) {
  const char *scratch = getenv("TMPDIR");
  snprintf(folder, PL_PATH_MAX, "%s/plenum-test-XXXXXX", scratch ? scratch : "/tmp");
  if (!mkdtemp(folder)) abort();
}

void fixture_pixels(int64_t sample, uint8_t pixels[FIXTURE_IMAGE_BYTES]) {
  for (int i = 0; i < FIXTURE_IMAGE_BYTES; i++) pixels[i] = (uint8_t)(sample * 31 + i * 7 + i / 5);
}

void fixture_caption(int64_t sample, int index, char text[64]) {
  snprintf(text, 64, "caption %d of sample %lld: \xc3\xa9t\xc3\xa9", index, (long long)sample);
}

static size_t png_of(const uint8_t *pixels, uint8_t *file, size_t capacity) {
  png_image png = {.version = PNG_IMAGE_VERSION,
                   .width = FIXTURE_WIDTH,
                   .height = FIXTURE_HEIGHT,
                   .format = PNG_FORMAT_RGB};
  png_alloc_size_t size = capacity;
  if (!png_image_write_to_memory(&png, file, &size, 0, pixels, 0, NULL)) abort();
  return size;
}

static pl_status add(pl_shard_writer *writer, const pl_shard_options *options, int64_t sample) {
  uint8_t pixels[FIXTURE_IMAGE_BYTES];
  uint8_t file[4096];
  char captions[2][64];
  const char *caption[2] = {captions[0], captions[1]};
  fixture_pixels(sample, pixels);
  for (int i = 0; i < 2; i++) fixture_caption(sample, i, captions[i]);
  pl_sample s = {.image = pixels,
                 .image_bytes = sizeof pixels,
                 .label = (int32_t)(sample % 3 - 1),
                 .id = 10 + 3 * sample,
                 .captions = options->captions ? (int)(sample % 3) : 0,
                 .caption = caption};
  if (options->storage == PL_IMAGE_ENCODED) {
    s.image_bytes = png_of(pixels, file, sizeof file);
    s.image = file;
  }
  return pl_shard_writer_add(writer, &s);
}

pl_status fixture_write(const char *folder, pl_image_storage storage, bool captions) {
  static const char *const classes[] = {"cat", "a \"quoted\" \\ name: \xc3\xa9"};
  static const int64_t first[] = {0, 4, FIXTURE_SAMPLES};
  pl_shard_options options = {
      .storage = storage, .height = FIXTURE_HEIGHT, .width = FIXTURE_WIDTH, .captions = captions};
  pl_shard_record records[FIXTURE_SHARDS];
  for (int s = 0; s < FIXTURE_SHARDS; s++) {
    pl_shard_writer *writer = NULL;
    PL_TRY(pl_shard_writer_open(folder, s, &options, &writer));
    for (int64_t i = first[s]; i < first[s + 1]; i++) PL_TRY(add(writer, &options, i));
    PL_TRY(pl_shard_writer_finish(&writer, &records[s]));
  }
  return pl_dataset_manifest_write(folder, captions ? "image-text" : "image", &options,
                                   FIXTURE_SHARDS, records, 2, classes);
}
