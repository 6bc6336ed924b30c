#include "tests/unit/loader_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/data/writer.h"
#include "tests/check.h"

void make_image(int sample, uint8_t image[IMAGE_BYTES]) {
  uint32_t state = (uint32_t)sample + 1;
  for (int i = 0; i < IMAGE_BYTES; i++) {
    state = state * 1664525 + 1013904223;
    image[i] = (uint8_t)(state >> 24);
  }
}

int caption_count(int sample) { return 1 + sample % CAPTIONS_MAX; }

void make_caption(int sample, int index, char text[CAPTION_BYTES]) {
  int blanks = sample % 8 == 5 ? CAPTION_BYTES / 2 + sample : 1;
  snprintf(text, CAPTION_BYTES, "c%d%*ss%d.", index, blanks, "", sample);
}

/* The first sample of a shard. */
static int shard_first(int shard) { return SAMPLES * shard / SHARDS; }

int shard_samples(int shard) { return shard_first(shard + 1) - shard_first(shard); }

static void write_dataset(const char *folder) {
  const pl_shard_options options = {
      .storage = PL_IMAGE_PIXELS, .height = HEIGHT, .width = WIDTH, .captions = true};
  pl_shard_record records[SHARDS];
  for (int shard = 0, sample = 0; shard < SHARDS; shard++) {
    pl_shard_writer *writer = NULL;
    CHECK_OK(pl_shard_writer_open(folder, shard, &options, &writer));
    for (; sample < shard_first(shard + 1); sample++) {
      uint8_t image[IMAGE_BYTES];
      char text[CAPTIONS_MAX][CAPTION_BYTES];
      const char *captions[CAPTIONS_MAX];
      make_image(sample, image);
      for (int k = 0; k < CAPTIONS_MAX; k++) {
        make_caption(sample, k, text[k]);
        captions[k] = text[k];
      }
      const pl_sample stored = {.image = image,
                                .image_bytes = IMAGE_BYTES,
                                .label = sample % 3,
                                .id = 100 + sample,
                                .captions = caption_count(sample),
                                .caption = captions};
      CHECK_OK(pl_shard_writer_add(writer, &stored));
    }
    CHECK_OK(pl_shard_writer_finish(&writer, &records[shard]));
  }
  const char *names[] = {"a", "b", "c"};
  CHECK_OK(pl_dataset_manifest_write(folder, "image-text", &options, SHARDS, records, 3, names));
}

int set_up(void **state) {
  pl_log_set_level(PL_LOG_ERROR);
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  strcpy(f->folder, "/tmp/plenum-test-loader-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  write_dataset(f->folder);
  CHECK_OK(pl_dataset_open(f->folder, &f->dataset));
  f->options = (pl_loader_options){
      .dataset = f->dataset,
      .augment = {.size = SIZE,
                  .random_crop = true,
                  .crop_min = 0.08,
                  .crop_max = 1,
                  .aspect_min = 0.75,
                  .aspect_max = 4.0 / 3,
                  .flip = 0.5,
                  .jitter = 0.8,
                  .brightness = 0.4,
                  .contrast = 0.4,
                  .saturation = 0.4,
                  .hue = 0.1,
                  .grey = 0.2,
                  .blur = 0.5,
                  .blur_sigma_min = 0.1,
                  .blur_sigma_max = 2,
                  .centre_ratio = 1,
                  .mean = {0.5F, 0.5F, 0.5F},
                  .std = {0.25F, 0.25F, 0.25F}},
      .random = true,
      .shuffle = true,
      .shuffle_block = 4,
      .shuffle_window = 3,
      .seed = 7,
      .views = VIEWS,
      .leaf_samples = LEAF,
      .batch = BATCH,
      .leaves = LEAVES,
      .passes = 1,
      .steps = 6,
      .workers = 2,
  };
  *state = f;
  return 0;
}

int tear_down(void **state) {
  fixture *f = *state;
  pl_dataset_close(&f->dataset);
  CHECK_OK(pl_remove_tree(f->folder));
  free(f);
  return 0;
}

served *serve_all(const pl_loader_options *options, int64_t *skipped) {
  int64_t n = options->steps * options->passes * options->leaves;
  served *all = calloc((size_t)n, sizeof *all);
  assert_non_null(all);
  pl_loader *loader = NULL;
  CHECK_OK(pl_loader_create(options, &loader));
  for (int64_t k = 0; k < n; k++) {
    pl_loader_leaf leaf;
    CHECK_OK(pl_loader_next(loader, &leaf));
    all[k].step = leaf.step;
    all[k].leaf = leaf.leaf;
    memcpy(all[k].sample, leaf.sample, sizeof all[k].sample);
    memcpy(all[k].epoch, leaf.epoch, sizeof all[k].epoch);
    if (leaf.images) memcpy(all[k].images, leaf.images, sizeof all[k].images);
    if (leaf.tokens) memcpy(all[k].tokens, leaf.tokens, sizeof all[k].tokens);
  }
  assert_true(pl_loader_wait_ms(loader) >= 0);
  if (skipped) *skipped = pl_loader_skipped(loader);
  pl_loader_destroy(&loader);
  assert_null(loader);
  return all;
}

/* Flips a bit in the middle of the only place in a sample's shard that holds these bytes. */
static void damage_bytes(const fixture *f, int sample, const void *bytes, size_t size) {
  int shard = -1;
  int64_t position = -1;
  pl_dataset_locate(f->dataset, sample, &shard, &position);
  const char *path = pl_dataset_shard_path(f->dataset, shard);
  char *file = NULL;
  size_t file_size = 0;
  CHECK_OK(pl_read_file(path, 1 << 24, &file, &file_size));
  const char *found = memmem(file, file_size, bytes, size);
  assert_non_null(found);
  int fd = open(path, O_WRONLY);
  assert_true(fd >= 0);
  char other = found[size / 2] ^ 4;
  assert_int_equal(pwrite(fd, &other, 1, found - file + (off_t)(size / 2)), 1);
  close(fd);
  pl_free(file);
}

void damage(const fixture *f, int sample) {
  uint8_t image[IMAGE_BYTES];
  make_image(sample, image);
  damage_bytes(f, sample, image, IMAGE_BYTES);
}

void damage_caption(const fixture *f, int sample, int index) {
  char text[CAPTION_BYTES];
  make_caption(sample, index, text);
  damage_bytes(f, sample, text, strlen(text));
}

pl_tokenizer *open_tokenizer(const fixture *f) {
  static const char merges[] = "#version: 0\nq q\n";
  pl_tokenizer *tokenizer = NULL;
  char path[PL_PATH_MAX];
  CHECK_OK(pl_path_join(f->folder, "merges.txt", path));
  CHECK_OK(pl_write_file_durably(path, merges, strlen(merges)));
  CHECK_OK(pl_tokenizer_open(path, &tokenizer));
  return tokenizer;
}
