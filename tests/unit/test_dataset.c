/* Writing and reading datasets: what goes in comes out, and damage is found and named. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/memory.h"
#include "runtime/data/shard.h"
#include "tests/check.h"
#include "tests/unit/dataset_fixture.h"

static void check_images(const pl_dataset *dataset) {
  pl_image image = {0};
  uint8_t expected[FIXTURE_IMAGE_BYTES];
  for (int64_t i = 0; i < FIXTURE_SAMPLES; i++) {
    CHECK_OK(pl_dataset_read_image(dataset, i, &image));
    assert_int_equal(image.width, FIXTURE_WIDTH);
    assert_int_equal(image.height, FIXTURE_HEIGHT);
    fixture_pixels(i, expected);
    assert_memory_equal(image.pixels, expected, sizeof expected);
    assert_int_equal(pl_dataset_label(dataset, i), i % 3 - 1);
    assert_int_equal(pl_dataset_id(dataset, i), 10 + 3 * i);
  }
  pl_image_free(&image);
}

/* All of them in stored order, past the samples that have none. */
static void check_all_captions(const pl_dataset *dataset) {
  static const int owner[] = {1, 2, 2, 4, 5, 5}, number[] = {0, 0, 1, 0, 0, 1};
  for (int c = 0; c < 6; c++) {
    int64_t sample = -1;
    int index = -1;
    char expected[64];
    pl_dataset_locate_caption(dataset, c, &sample, &index);
    assert_int_equal(sample, owner[c]);
    assert_int_equal(index, number[c]);
    fixture_caption(sample, index, expected);
    assert_int_equal(pl_dataset_caption_bytes(dataset, sample, index), strlen(expected));
  }
}

static void check_captions(const pl_dataset *dataset) {
  char text[64];
  char expected[64];
  for (int64_t i = 0; i < FIXTURE_SAMPLES; i++) {
    assert_int_equal(pl_dataset_caption_count(dataset, i), i % 3);
    for (int c = 0; c < i % 3; c++) {
      CHECK_OK(pl_dataset_read_caption(dataset, i, c, text, sizeof text));
      fixture_caption(i, c, expected);
      assert_string_equal(text, expected);
    }
  }
  CHECK_FAILS(PL_E_USAGE, "no caption 1", pl_dataset_read_caption(dataset, 1, 1, text, 64));
  CHECK_FAILS(PL_E_DATA, "sample 0 (id 10) has no caption", pl_dataset_check_captioned(dataset));
  check_all_captions(dataset);
}

static void round_trip(pl_image_storage storage, bool captions) {
  char folder[PL_PATH_MAX];
  pl_dataset *dataset = NULL;
  fixture_folder(folder);
  CHECK_OK(fixture_write(folder, storage, captions));
  CHECK_OK(pl_dataset_open(folder, &dataset));
  const pl_dataset_info *info = pl_dataset_get_info(dataset);
  assert_int_equal(info->samples, FIXTURE_SAMPLES);
  assert_int_equal(info->captions, captions ? 6 : 0); /* 0 1 2 0 1 2 0 */
  assert_int_equal(info->shards, FIXTURE_SHARDS);
  assert_int_equal(info->storage, storage);
  assert_int_equal(info->height, FIXTURE_HEIGHT);
  assert_int_equal(info->width, FIXTURE_WIDTH);
  assert_int_equal(strlen(info->hash), 32);
  assert_string_equal(pl_dataset_class_name(dataset, 0), "cat");
  assert_string_equal(pl_dataset_class_name(dataset, 1), "a \"quoted\" \\ name: \xc3\xa9");
  assert_null(pl_dataset_class_name(dataset, 2));
  assert_null(pl_dataset_class_name(dataset, -1));
  pl_image_extent largest;
  CHECK_OK(pl_dataset_largest_image(dataset, &largest));
  assert_int_equal(largest.width, FIXTURE_WIDTH);
  assert_int_equal(largest.height, FIXTURE_HEIGHT);
  assert_int_equal(largest.packed_bytes > 0, storage == PL_IMAGE_ENCODED);
  check_images(dataset);
  if (captions) check_captions(dataset);
  for (int s = 0; s < FIXTURE_SHARDS; s++) CHECK_OK(pl_dataset_verify_shard(dataset, s));
  pl_dataset_close(&dataset);
  assert_null(dataset);
  CHECK_OK(pl_remove_tree(folder));
}

static void test_pixels(void **state) {
  (void)state;
  round_trip(PL_IMAGE_PIXELS, false);
}

static void test_encoded(void **state) {
  (void)state;
  round_trip(PL_IMAGE_ENCODED, false);
}

static void test_captions(void **state) {
  (void)state;
  round_trip(PL_IMAGE_PIXELS, true);
  round_trip(PL_IMAGE_ENCODED, true);
}

static void test_caption_is_cut_between_characters(void **state) {
  (void)state;
  char folder[PL_PATH_MAX];
  char text[64];
  char whole[64];
  pl_dataset *dataset = NULL;
  fixture_folder(folder);
  CHECK_OK(fixture_write(folder, PL_IMAGE_PIXELS, true));
  CHECK_OK(pl_dataset_open(folder, &dataset));
  fixture_caption(1, 0, whole);
  size_t accent = (size_t)(strchr(whole, '\xc3') - whole); /* the first byte of two */
  for (size_t capacity = 1; capacity <= sizeof text; capacity++) {
    CHECK_OK(pl_dataset_read_caption(dataset, 1, 0, text, capacity));
    size_t expected = capacity - 1 < strlen(whole) ? capacity - 1 : strlen(whole);
    if (expected == accent + 1 || expected == accent + 4) expected--;
    assert_int_equal(strlen(text), expected);
    assert_memory_equal(text, whole, expected);
  }
  pl_dataset_close(&dataset);
  CHECK_OK(pl_remove_tree(folder));
}

static void test_locate(void **state) {
  (void)state;
  char folder[PL_PATH_MAX];
  pl_dataset *dataset = NULL;
  int shard = 0;
  int64_t position = 0;
  fixture_folder(folder);
  CHECK_OK(fixture_write(folder, PL_IMAGE_PIXELS, false));
  CHECK_OK(pl_dataset_open(folder, &dataset));
  for (int64_t i = 0; i < FIXTURE_SAMPLES; i++) {
    pl_dataset_locate(dataset, i, &shard, &position);
    assert_int_equal(shard, i >= 4);
    assert_int_equal(position, i >= 4 ? i - 4 : i);
  }
  assert_non_null(strstr(pl_dataset_shard_path(dataset, 1), "/part-00001.h5"));
  pl_dataset_close(&dataset);
  CHECK_OK(pl_remove_tree(folder));
}

static void test_same_samples_same_bytes(void **state) {
  (void)state;
  char folder[2][PL_PATH_MAX];
  char path[PL_PATH_MAX];
  static const char *const names[] = {"part-00000.h5", "part-00001.h5", "dataset.yaml"};
  for (int k = 0; k < 2; k++) {
    fixture_folder(folder[k]);
    CHECK_OK(fixture_write(folder[k], PL_IMAGE_ENCODED, true));
    if (k == 0) sleep(1); /* a time noted in the file would differ */
  }
  for (int n = 0; n < 3; n++) {
    char *text[2];
    size_t size[2];
    for (int k = 0; k < 2; k++) {
      CHECK_OK(pl_path_join(folder[k], names[n], path));
      CHECK_OK(pl_read_file(path, 1 << 20, &text[k], &size[k]));
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(text[0], text[1], size[0]);
    for (int k = 0; k < 2; k++) pl_free(text[k]);
  }
  for (int k = 0; k < 2; k++) CHECK_OK(pl_remove_tree(folder[k]));
}

/* Flips one bit of the byte at `at` in a file. */
static void flip(const char *path, int64_t at) {
  uint8_t byte = 0;
  int fd = open(path, O_RDWR);
  assert_true(fd >= 0);
  assert_int_equal(pread(fd, &byte, 1, at), 1);
  byte ^= 0x10;
  assert_int_equal(pwrite(fd, &byte, 1, at), 1);
  close(fd);
}

static void count_report(void *context, const pl_reason *reason) {
  assert_non_null(strstr(reason->message, "part-00000.h5, sample 2 (id 16)"));
  ++*(int *)context;
}

static void damaged_image(pl_image_storage storage) {
  char folder[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  pl_dataset_manifest *manifest = NULL;
  pl_dataset *dataset = NULL;
  pl_shard shard = {.fd = -1};
  pl_image image = {0};
  int reported = 0;
  fixture_folder(folder);
  CHECK_OK(fixture_write(folder, storage, false));
  CHECK_OK(pl_dataset_manifest_read(folder, &manifest));
  CHECK_OK(pl_shard_open(manifest, 0, &shard));
  int64_t offset =
      storage == PL_IMAGE_PIXELS ? 2 * (int64_t)FIXTURE_IMAGE_BYTES : shard.image_offset[2];
  CHECK_OK(pl_path_join(folder, "part-00000.h5", path));
  flip(path, shard.image_at + offset + 20);

  CHECK_OK(pl_dataset_open(folder, &dataset));
  CHECK_OK(pl_dataset_read_image(dataset, 1, &image));
  CHECK_FAILS(PL_E_DATA, "part-00000.h5, sample 2 (id 16): image damaged: checksum",
              pl_dataset_read_image(dataset, 2, &image));
  CHECK_OK(pl_dataset_read_image(dataset, 3, &image));
  CHECK_FAILS(PL_E_DATA, "part-00000.h5: 1 of 4 samples damaged; the first: ",
              pl_dataset_verify_shard(dataset, 0));
  CHECK_OK(pl_dataset_verify_shard(dataset, 1));
  assert_int_equal(pl_shard_verify(&shard, &manifest->shards[0], count_report, &reported),
                   PL_E_DATA);
  assert_int_equal(reported, 1);
  pl_image_free(&image);
  pl_dataset_close(&dataset);
  pl_shard_close(&shard);
  pl_dataset_manifest_destroy(&manifest);
  CHECK_OK(pl_remove_tree(folder));
}

static void test_damaged_image(void **state) {
  (void)state;
  damaged_image(PL_IMAGE_PIXELS);
  damaged_image(PL_IMAGE_ENCODED);
}

static void test_damaged_caption(void **state) {
  (void)state;
  char folder[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  char text[64];
  pl_dataset_manifest *manifest = NULL;
  pl_dataset *dataset = NULL;
  pl_shard shard = {.fd = -1};
  fixture_folder(folder);
  CHECK_OK(fixture_write(folder, PL_IMAGE_PIXELS, true));
  CHECK_OK(pl_dataset_manifest_read(folder, &manifest));
  CHECK_OK(pl_shard_open(manifest, 0, &shard));
  CHECK_OK(pl_path_join(folder, "part-00000.h5", path));
  flip(path, shard.text_at + shard.text_offset[2] + 3); /* the second of sample 2 */
  CHECK_OK(pl_dataset_open(folder, &dataset));
  CHECK_OK(pl_dataset_read_caption(dataset, 2, 0, text, sizeof text));
  CHECK_FAILS(PL_E_DATA, "sample 2 (id 16): caption damaged: checksum",
              pl_dataset_read_caption(dataset, 2, 1, text, sizeof text));
  CHECK_FAILS(PL_E_DATA, "1 of 4 samples damaged", pl_dataset_verify_shard(dataset, 0));
  pl_dataset_close(&dataset);
  pl_shard_close(&shard);
  pl_dataset_manifest_destroy(&manifest);
  CHECK_OK(pl_remove_tree(folder));
}

/* Damage between arrays hurts no sample, but the file's hash finds it. */
static void test_damage_outside_of_samples(void **state) {
  (void)state;
  char folder[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  pl_dataset *dataset = NULL;
  fixture_folder(folder);
  CHECK_OK(fixture_write(folder, PL_IMAGE_PIXELS, false));
  CHECK_OK(pl_path_join(folder, "part-00001.h5", path));
  CHECK_OK(pl_dataset_open(folder, &dataset));
  flip(path, 0);
  CHECK_FAILS(PL_E_DATA, "the damage lies outside of all samples",
              pl_dataset_verify_shard(dataset, 1));
  pl_dataset_close(&dataset);
  CHECK_OK(pl_remove_tree(folder));
}

static void test_missing_and_truncated(void **state) {
  (void)state;
  char folder[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  struct stat info;
  pl_dataset *dataset = NULL;
  fixture_folder(folder);
  CHECK_FAILS(PL_E_DATA, "is no dataset: there is no dataset.yaml",
              pl_dataset_open(folder, &dataset));
  CHECK_FAILS(PL_E_DATA, "/nowhere is no dataset", pl_dataset_open("/nowhere", &dataset));
  CHECK_OK(fixture_write(folder, PL_IMAGE_PIXELS, false));
  CHECK_OK(pl_path_join(folder, "part-00001.h5", path));
  assert_int_equal(stat(path, &info), 0);
  assert_int_equal(truncate(path, info.st_size - 1), 0);
  CHECK_FAILS(PL_E_DATA, "part-00001.h5 has", pl_dataset_open(folder, &dataset));
  assert_null(dataset);
  assert_int_equal(unlink(path), 0);
  CHECK_FAILS(PL_E_DATA, "cannot open shard", pl_dataset_open(folder, &dataset));
  assert_int_equal(mkdir(path, 0700), 0);
  CHECK_FAILS(PL_E_DATA, "is not a regular file", pl_dataset_open(folder, &dataset));
  CHECK_OK(pl_remove_tree(folder));
}

static void test_writer_refuses(void **state) {
  (void)state;
  static const uint8_t pixels[FIXTURE_IMAGE_BYTES];
  static const char *const bad_name[] = {"caf\xe9"};
  const char *caption = "words";
  char folder[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  pl_shard_options options = {PL_IMAGE_PIXELS, FIXTURE_HEIGHT, FIXTURE_WIDTH, false};
  pl_shard_record record;
  pl_shard_writer *writer = NULL;
  fixture_folder(folder);
  CHECK_OK(pl_shard_writer_open(folder, 0, &options, &writer));
  pl_sample good = {.image = pixels, .image_bytes = sizeof pixels, .label = 0, .id = 5};
  pl_sample bad = good;
  bad.image_bytes--;
  CHECK_FAILS(PL_E_DATA, "does not fit 4 x 5 pixels", pl_shard_writer_add(writer, &bad));
  bad = good;
  bad.label = -2;
  CHECK_FAILS(PL_E_DATA, "label -2 below -1", pl_shard_writer_add(writer, &bad));
  bad = good;
  bad.captions = 1;
  bad.caption = &caption;
  CHECK_FAILS(PL_E_DATA, "has captions", pl_shard_writer_add(writer, &bad));
  CHECK_OK(pl_shard_writer_add(writer, &good));
  CHECK_FAILS(PL_E_DATA, "the id does not ascend", pl_shard_writer_add(writer, &good));
  pl_shard_writer_discard(&writer);
  assert_null(writer);
  CHECK_OK(pl_shard_writer_open(folder, 0, &options, &writer));
  CHECK_FAILS(PL_E_DATA, "would hold no sample", pl_shard_writer_finish(&writer, &record));
  assert_null(writer);
  CHECK_FAILS(PL_E_DATA, "not UTF-8",
              pl_dataset_manifest_write(folder, "image", &options, 0, NULL, 1, bad_name));
  CHECK_OK(pl_path_join(folder, "part-00000.h5", path));
  assert_false(pl_path_exists(path));
  CHECK_FAILS(PL_E_IO, "cannot create /nowhere/",
              pl_shard_writer_open("/nowhere", 0, &options, &writer));
  assert_null(writer);
  CHECK_OK(pl_remove_tree(folder));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pixels),
      cmocka_unit_test(test_encoded),
      cmocka_unit_test(test_captions),
      cmocka_unit_test(test_caption_is_cut_between_characters),
      cmocka_unit_test(test_locate),
      cmocka_unit_test(test_same_samples_same_bytes),
      cmocka_unit_test(test_damaged_image),
      cmocka_unit_test(test_damaged_caption),
      cmocka_unit_test(test_damage_outside_of_samples),
      cmocka_unit_test(test_missing_and_truncated),
      cmocka_unit_test(test_writer_refuses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
