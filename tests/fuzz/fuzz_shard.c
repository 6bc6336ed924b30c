/* Any bytes as a shard of a dataset whose manifest fits the stored corpus: refused as bad data, or
 * open, with every sample readable or refused. Each input is tried with both kinds of storage. */
#include <hdf5.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/shard.h"
#include "tests/fuzz/fuzz.h"

/* As in the corpus, which fixture_write of tests/unit makes. */
enum { SAMPLES = 4, CAPTIONS = 3, HEIGHT = 5, WIDTH = 4, CLASSES = 2 };

static char folder[PL_PATH_MAX];

/* HDF5 1.10.8 forgets some memory of its own when it refuses a damaged file. What we might forget
 * are its handles, which are counted below. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5"; }

static void remove_folder(void) {
  if (pl_remove_tree(folder) != PL_OK) fprintf(stderr, "%s\n", pl_last_reason()->message);
}

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

/* Whether the shard "part-00000.h5" opened. */
static bool try_storage(const pl_shard_record *record, pl_image_storage storage) {
  pl_shard_record copy = *record;
  pl_dataset_manifest manifest = {.info = {.samples = SAMPLES,
                                           .captions = CAPTIONS,
                                           .shards = 1,
                                           .classes = CLASSES,
                                           .storage = storage,
                                           .height = HEIGHT,
                                           .width = WIDTH},
                                  .shards = &copy};
  pl_shard shard;
  snprintf(manifest.folder, sizeof manifest.folder, "%s", folder);
  pl_status status = pl_shard_open(&manifest, 0, &shard);
  expect_data_error(status);
  if (status != PL_OK) return false;
  read_all(&shard, &copy);
  pl_shard_close(&shard);
  return true;
}

/* A good shard must open, or whatever the fuzzer finds says nothing. */
static void check_harness(void) {
  static const uint8_t pixels[HEIGHT * WIDTH * 3];
  static const char *const caption[] = {"words", "more words", "last words"};
  const pl_shard_options options = {PL_IMAGE_PIXELS, HEIGHT, WIDTH, true};
  pl_shard_record record;
  pl_shard_writer *writer = NULL;
  pl_status status = pl_shard_writer_open(folder, 0, &options, &writer);
  for (int i = 0; i < SAMPLES && status == PL_OK; i++) {
    const pl_sample sample = {.image = pixels,
                              .image_bytes = sizeof pixels,
                              .id = i,
                              .captions = i == 0 ? CAPTIONS : 0,
                              .caption = caption};
    status = pl_shard_writer_add(writer, &sample);
  }
  if (status == PL_OK) status = pl_shard_writer_finish(&writer, &record);
  if (status != PL_OK || !try_storage(&record, PL_IMAGE_PIXELS)) {
    fprintf(stderr, "a good shard is refused: %s\n", pl_last_reason()->message);
    abort();
  }
}

static void start(void) {
  const char *scratch = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%s/plenum-fuzz-XXXXXX", scratch ? scratch : "/tmp");
  if (!mkdtemp(folder) || atexit(remove_folder) != 0) abort();
  check_harness();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[PL_PATH_MAX];
  pl_shard_record record = {.samples = SAMPLES, .captions = CAPTIONS, .bytes = (int64_t)size};
  if (folder[0] == '\0') start();
  pl_shard_name(0, record.name);
  memset(record.hash, '0', sizeof record.hash - 1);
  if (pl_path_join(folder, record.name, path) != PL_OK) abort();
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) abort();
  try_storage(&record, PL_IMAGE_PIXELS);
  try_storage(&record, PL_IMAGE_ENCODED);
  if (H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) != 0) {
    fprintf(stderr, "HDF5 handles were left open\n");
    abort();
  }
  return 0;
}
