/* Any bytes as a shard of a dataset whose manifest fits the stored corpus: refused as bad data, or
 * open, with every sample readable or refused. Each input is tried with both kinds of storage. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/data/shard.h"
#include "tests/fuzz/fuzz.h"

/* As in the corpus, which fixture_write of tests/unit makes. */
enum { SAMPLES = 4, CAPTIONS = 3, HEIGHT = 5, WIDTH = 4, CLASSES = 2 };

static void expect_data_error(pl_status status) {
  if (status == PL_OK || status == PL_E_DATA) return;
  fprintf(stderr, "a bad shard is bad data, not: %s\n", pl_last_reason()->message);
  abort();
}

static void read_all(const pl_shard *shard, const pl_shard_record *record) {
  pl_image image = {0};
  char text[16];
  for (int64_t i = 0; i < shard->samples; i++) {
    expect_data_error(pl_shard_read_image(shard, i, &image));
    int captions = (int)(shard->text_first[i + 1] - shard->text_first[i]);
    for (int c = 0; c < captions; c++) {
      expect_data_error(pl_shard_read_caption(shard, i, c, text, sizeof text));
    }
  }
  expect_data_error(pl_shard_verify(shard, record, NULL, NULL));
  pl_image_free(&image);
}

static void try_storage(const pl_shard_record *record, pl_image_storage storage) {
  pl_shard_record copy = *record;
  pl_dataset_manifest manifest = {.folder = "/proc/self/fd",
                                  .info = {.samples = SAMPLES,
                                           .captions = CAPTIONS,
                                           .shards = 1,
                                           .classes = CLASSES,
                                           .storage = storage,
                                           .height = HEIGHT,
                                           .width = WIDTH},
                                  .shards = &copy};
  pl_shard shard;
  pl_status status = pl_shard_open(&manifest, 0, &shard);
  expect_data_error(status);
  if (status != PL_OK) return;
  read_all(&shard, &copy);
  pl_shard_close(&shard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  int fd = memfd_create("part", MFD_CLOEXEC);
  if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
  pl_shard_record record = {.samples = SAMPLES, .captions = CAPTIONS, .bytes = (int64_t)size};
  snprintf(record.name, sizeof record.name, "%d", fd);
  memset(record.hash, '0', sizeof record.hash - 1);
  try_storage(&record, PL_IMAGE_PIXELS);
  try_storage(&record, PL_IMAGE_ENCODED);
  close(fd);
  return 0;
}
