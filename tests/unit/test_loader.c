/* The loader: the same leaves whatever the number of threads and whoever owns them; what it does
 * about corrupt samples and read errors; ending at any moment. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/data/loader.h"
#include "runtime/data/order.h"
#include "runtime/data/writer.h"
#include "tests/check.h"

enum {
  SAMPLES = 37,
  SHARDS = 3,
  WIDTH = 12,
  HEIGHT = 10,
  IMAGE_BYTES = WIDTH * HEIGHT * 3,
  SIZE = 8,
  VIEWS = 2,
  LEAF = 5,
  LEAVES = 4,
  BATCH = LEAF * LEAVES,
  LEAF_FLOATS = VIEWS * LEAF * SIZE * SIZE * 3
};

static void make_image(int sample, uint8_t *image) {
  uint32_t state = (uint32_t)sample + 1;
  for (int i = 0; i < IMAGE_BYTES; i++) {
    state = state * 1664525 + 1013904223;
    image[i] = (uint8_t)(state >> 24);
  }
}

static void write_dataset(const char *folder) {
  const pl_shard_options options = {
      .storage = PL_IMAGE_PIXELS, .height = HEIGHT, .width = WIDTH, .captions = false};
  pl_shard_record records[SHARDS];
  for (int shard = 0, sample = 0; shard < SHARDS; shard++) {
    pl_shard_writer *writer = NULL;
    CHECK_OK(pl_shard_writer_open(folder, shard, &options, &writer));
    for (; sample < SAMPLES * (shard + 1) / SHARDS; sample++) {
      uint8_t image[IMAGE_BYTES];
      make_image(sample, image);
      const pl_sample stored = {
          .image = image, .image_bytes = IMAGE_BYTES, .label = sample % 3, .id = 100 + sample};
      CHECK_OK(pl_shard_writer_add(writer, &stored));
    }
    CHECK_OK(pl_shard_writer_finish(&writer, &records[shard]));
  }
  const char *names[] = {"a", "b", "c"};
  CHECK_OK(pl_dataset_manifest_write(folder, "image", &options, SHARDS, records, 3, names));
}

/* A dataset of its own for each test, as some of them damage it. */
typedef struct fixture {
  char folder[64];
  pl_dataset *dataset;
  pl_loader_options options;
} fixture;

static int set_up(void **state) {
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

static int tear_down(void **state) {
  fixture *f = *state;
  pl_dataset_close(&f->dataset);
  CHECK_OK(pl_remove_tree(f->folder));
  free(f);
  return 0;
}

/* Everything a loader serves, in order; owned by the caller (free). */
typedef struct served {
  int64_t step, leaf, sample[LEAF], epoch[LEAF];
  float images[LEAF_FLOATS];
} served;

static served *serve_all(const pl_loader_options *options, int64_t *skipped) {
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
    memcpy(all[k].images, leaf.images, sizeof all[k].images);
  }
  assert_true(pl_loader_wait_ms(loader) >= 0);
  if (skipped) *skipped = pl_loader_skipped(loader);
  pl_loader_destroy(&loader);
  assert_null(loader);
  return all;
}

static void follows_the_stream(void **state) {
  fixture *f = *state;
  served *all = serve_all(&f->options, NULL);
  pl_order *order = NULL;
  CHECK_OK(pl_order_create(SAMPLES, 4, 3, 7, true, &order));
  for (int64_t k = 0; k < 6 * LEAVES; k++) {
    assert_int_equal(all[k].step, k / LEAVES);
    assert_int_equal(all[k].leaf, k % LEAVES);
    for (int i = 0; i < LEAF; i++) {
      int64_t sample = -1, epoch = -1;
      CHECK_OK(pl_order_at(order, k * LEAF + i, &sample, &epoch));
      assert_int_equal(all[k].sample[i], sample);
      assert_int_equal(all[k].epoch[i], epoch);
    }
  }
  pl_order_destroy(&order);
  free(all);
}

/* A view is what draw and apply give for the stream that the header names. */
static void views_are_those_of_their_keys(void **state) {
  fixture *f = *state;
  served *all = serve_all(&f->options, NULL);
  uint8_t pixels[IMAGE_BYTES];
  pl_image image = {.width = WIDTH, .height = HEIGHT, .pixels = pixels};
  pl_augment_scratch scratch = {0};
  for (int k = 0; k < 6 * LEAVES; k += 5) {
    for (int v = 0; v < VIEWS; v++) {
      for (int i = 0; i < LEAF; i++) {
        make_image((int)all[k].sample[i], pixels);
        pl_random random = pl_random_stream(7, PL_RANDOM_AUGMENT, (uint32_t)all[k].epoch[i],
                                            (uint64_t)all[k].sample[i], (uint32_t)v);
        pl_view_params params;
        pl_augment_draw(&f->options.augment, WIDTH, HEIGHT, &random, &params);
        float view[SIZE * SIZE * 3];
        CHECK_OK(pl_augment_apply(&f->options.augment, &params, &image, &scratch, view));
        assert_memory_equal(view, all[k].images + (size_t)(v * LEAF + i) * SIZE * SIZE * 3,
                            sizeof view);
      }
    }
  }
  pl_augment_scratch_free(&scratch);
  free(all);
}

static void threads_change_nothing(void **state) {
  fixture *f = *state;
  f->options.workers = 1;
  served *one = serve_all(&f->options, NULL);
  for (int workers = 2; workers <= 7; workers += 5) {
    f->options.workers = workers;
    served *many = serve_all(&f->options, NULL);
    assert_memory_equal(one, many, 6 * LEAVES * sizeof *one);
    free(many);
  }
  free(one);
}

static void owners_change_nothing(void **state) {
  fixture *f = *state;
  served *whole = serve_all(&f->options, NULL);
  f->options.first_leaf = 2;
  f->options.leaves = 2;
  served *half = serve_all(&f->options, NULL);
  for (int step = 0; step < 6; step++) {
    assert_memory_equal(&whole[step * LEAVES + 2], &half[step * 2], 2 * sizeof *half);
  }
  free(half);
  free(whole);
}

static void second_pass_is_the_first(void **state) {
  fixture *f = *state;
  served *once = serve_all(&f->options, NULL);
  f->options.passes = 2;
  served *twice = serve_all(&f->options, NULL);
  for (int step = 0; step < 6; step++) {
    for (int pass = 0; pass < 2; pass++) {
      assert_memory_equal(&once[step * LEAVES], &twice[(2 * step + pass) * LEAVES],
                          LEAVES * sizeof *once);
    }
  }
  free(twice);
  free(once);
}

static void resumes_in_the_middle(void **state) {
  fixture *f = *state;
  served *whole = serve_all(&f->options, NULL);
  f->options.first_step = 4;
  f->options.steps = 2;
  served *rest = serve_all(&f->options, NULL);
  assert_memory_equal(&whole[4 * LEAVES], rest, 2 * LEAVES * sizeof *rest);
  free(rest);
  free(whole);
}

static void evaluation_views_are_alike(void **state) {
  fixture *f = *state;
  f->options.random = false;
  f->options.shuffle = false;
  served *all = serve_all(&f->options, NULL);
  uint8_t pixels[IMAGE_BYTES];
  pl_image image = {.width = WIDTH, .height = HEIGHT, .pixels = pixels};
  pl_augment_scratch scratch = {0};
  pl_view_params params;
  pl_augment_centre(&f->options.augment, WIDTH, HEIGHT, &params);
  for (int k = 0; k < 6 * LEAVES; k++) {
    for (int i = 0; i < LEAF; i++) {
      assert_int_equal(all[k].sample[i], (k * LEAF + i) % SAMPLES);
      make_image((int)all[k].sample[i], pixels);
      float view[SIZE * SIZE * 3];
      CHECK_OK(pl_augment_apply(&f->options.augment, &params, &image, &scratch, view));
      for (int v = 0; v < VIEWS; v++) {
        assert_memory_equal(view, all[k].images + (size_t)(v * LEAF + i) * SIZE * SIZE * 3,
                            sizeof view);
      }
    }
  }
  pl_augment_scratch_free(&scratch);
  free(all);
}

/* Changes a byte of a stored image. */
static void damage(const fixture *f, int sample) {
  int shard = -1;
  int64_t position = -1;
  pl_dataset_locate(f->dataset, sample, &shard, &position);
  const char *path = pl_dataset_shard_path(f->dataset, shard);
  char *file = NULL;
  size_t size = 0;
  CHECK_OK(pl_read_file(path, 1 << 24, &file, &size));
  uint8_t image[IMAGE_BYTES];
  make_image(sample, image);
  const char *found = memmem(file, size, image, IMAGE_BYTES);
  assert_non_null(found);
  int fd = open(path, O_WRONLY);
  assert_true(fd >= 0);
  uint8_t other = image[50] ^ 4;
  assert_int_equal(pwrite(fd, &other, 1, found - file + 50), 1);
  close(fd);
  pl_free(file);
}

static void corrupt_samples_are_replaced(void **state) {
  fixture *f = *state;
  served *whole = serve_all(&f->options, NULL);
  /* two in a row over a shard's end, and the last, which is followed by the first */
  damage(f, 11);
  damage(f, 12);
  damage(f, SAMPLES - 1);
  f->options.skip_limit = 3;
  int64_t skipped = -1;
  served *damaged = serve_all(&f->options, &skipped);
  assert_int_equal(skipped, 3); /* though each was met in three epochs */
  for (int k = 0; k < 6 * LEAVES; k++) {
    for (int i = 0; i < LEAF; i++) {
      int64_t sample = whole[k].sample[i];
      int64_t expected = sample == 11 || sample == 12 ? 13 : sample % (SAMPLES - 1);
      assert_int_equal(damaged[k].sample[i], expected);
    }
  }
  f->options.workers = 1;
  f->options.first_leaf = 1;
  f->options.leaves = 3;
  served *part = serve_all(&f->options, NULL);
  for (int step = 0; step < 6; step++) {
    assert_memory_equal(&damaged[step * LEAVES + 1], &part[step * 3], 3 * sizeof *part);
  }
  free(part);
  free(damaged);
  free(whole);
}

/* Asks until the loader fails, which it must, and keeps failing. */
static void expect_failure(const pl_loader_options *options, pl_status code, const char *words) {
  pl_loader *loader = NULL;
  CHECK_OK(pl_loader_create(options, &loader));
  pl_loader_leaf leaf;
  int64_t asked = 0, n = options->steps * options->leaves;
  while (asked < n && pl_loader_next(loader, &leaf) == PL_OK) asked++;
  assert_true(asked < n);
  CHECK_FAILS(code, words, pl_loader_next(loader, &leaf));
  CHECK_FAILS(code, words, pl_loader_next(loader, &leaf));
  pl_loader_destroy(&loader);
}

static void too_many_corrupt_samples_fail(void **state) {
  fixture *f = *state;
  damage(f, 3);
  damage(f, 30);
  f->options.skip_limit = 1;
  expect_failure(&f->options, PL_E_DATA, "2 corrupt samples, the limit is 1");
  f->options.skip_limit = 0;
  expect_failure(&f->options, PL_E_DATA, "part-0000");
  f->options.skip_limit = 2;
  free(serve_all(&f->options, NULL));
}

static void all_samples_corrupt_fail(void **state) {
  fixture *f = *state;
  for (int sample = 0; sample < SAMPLES; sample++) damage(f, sample);
  f->options.skip_limit = SAMPLES;
  expect_failure(&f->options, PL_E_DATA, "all 37 samples");
}

/* Lets reads of a shard fail: puts a folder behind its descriptor. */
static void break_reading(const fixture *f, int shard) {
  char path[PL_PATH_MAX], real[PL_PATH_MAX], target[PL_PATH_MAX];
  assert_non_null(realpath(pl_dataset_shard_path(f->dataset, shard), real));
  int folder = open("/", O_RDONLY | O_DIRECTORY), replaced = 0;
  assert_true(folder >= 0);
  for (int fd = 3; fd < 256; fd++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) continue;
    target[length] = '\0';
    if (strcmp(target, real) == 0 && dup2(folder, fd) == fd) replaced++;
  }
  close(folder);
  assert_true(replaced > 0);
}

static void read_errors_fail_at_once(void **state) {
  fixture *f = *state;
  break_reading(f, 1);
  f->options.skip_limit = 1000;
  expect_failure(&f->options, PL_E_IO, "part-00001.h5");
}

static void ends_at_any_moment(void **state) {
  fixture *f = *state;
  f->options.steps = 1000;
  for (int round = 0; round < 60; round++) {
    f->options.workers = 1 + round % 4;
    pl_loader *loader = NULL;
    CHECK_OK(pl_loader_create(&f->options, &loader));
    pl_loader_leaf leaf;
    for (int k = 0; k < round / 3; k++) CHECK_OK(pl_loader_next(loader, &leaf));
    if (round % 7 == 0) usleep(2000); /* so that workers wait for room */
    pl_loader_destroy(&loader);
  }
}

static void bad_use_is_refused(void **state) {
  fixture *f = *state;
  pl_loader *loader = NULL;
  pl_loader_destroy(&loader);
  pl_loader_options bad = f->options;
  bad.workers = 0;
  CHECK_FAILS(PL_E_USAGE, "workers", pl_loader_create(&bad, &loader));
  bad = f->options;
  bad.first_leaf = 1;
  CHECK_FAILS(PL_E_USAGE, "first leaf", pl_loader_create(&bad, &loader));
  bad = f->options;
  bad.leaves = LEAVES + 1;
  CHECK_FAILS(PL_E_USAGE, "leaves", pl_loader_create(&bad, &loader));
  bad = f->options;
  bad.augment.size = 0;
  CHECK_FAILS(PL_E_USAGE, "size", pl_loader_create(&bad, &loader));
  assert_null(loader);

  f->options.steps = 0;
  CHECK_OK(pl_loader_create(&f->options, &loader));
  pl_loader_leaf leaf;
  CHECK_FAILS(PL_E_INTERNAL, "more than", pl_loader_next(loader, &leaf));
  pl_loader_destroy(&loader);
}

int main(void) {
#define LOADER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      LOADER_TEST(follows_the_stream),
      LOADER_TEST(views_are_those_of_their_keys),
      LOADER_TEST(threads_change_nothing),
      LOADER_TEST(owners_change_nothing),
      LOADER_TEST(second_pass_is_the_first),
      LOADER_TEST(resumes_in_the_middle),
      LOADER_TEST(evaluation_views_are_alike),
      LOADER_TEST(corrupt_samples_are_replaced),
      LOADER_TEST(too_many_corrupt_samples_fail),
      LOADER_TEST(all_samples_corrupt_fail),
      LOADER_TEST(read_errors_fail_at_once),
      LOADER_TEST(ends_at_any_moment),
      LOADER_TEST(bad_use_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
