/* Shards that somebody else made: whatever does not fit is refused by name, never followed. Each
 * case changes one thing in a good shard through HDF5 itself. */
#include <hdf5.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/data/shard.h"
#include "tests/check.h"
#include "tests/unit/dataset_fixture.h"

static char folder[PL_PATH_MAX];

static hid_t properties(hid_t kind) {
  hid_t list = H5Pcreate(kind);
  assert_true(list >= 0);
  return list;
}

/* Puts a new array in the place of `name`; `entries` may be NULL. */
static void replace(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims,
                    hid_t creation, const void *entries) {
  if (H5Lexists(file, name, H5P_DEFAULT) > 0) {
    assert_true(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
  }
  hid_t space = H5Screate_simple(rank, dims, NULL);
  hid_t array = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  assert_true(array >= 0);
  if (entries) {
    assert_true(H5Dwrite(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, entries) >= 0);
  }
  H5Dclose(array);
  H5Sclose(space);
}

static void put_labels(hid_t file, const int32_t label[4]) {
  replace(file, "/label", H5T_STD_I32LE, 1, (hsize_t[]){4}, H5P_DEFAULT, label);
}

static void put_int64s(hid_t file, const char *name, hsize_t count, const int64_t *values) {
  replace(file, name, H5T_STD_I64LE, 1, &count, H5P_DEFAULT, values);
}

static void label_below_range(hid_t file) { put_labels(file, (int32_t[]){0, 1, -2, 0}); }
static void label_above_range(hid_t file) { put_labels(file, (int32_t[]){0, 1, 2, 0}); }
static void label_missing(hid_t file) { H5Ldelete(file, "/label", H5P_DEFAULT); }

static void label_is_float(hid_t file) {
  replace(file, "/label", H5T_IEEE_F32LE, 1, (hsize_t[]){4}, H5P_DEFAULT, (float[4]){0});
}

static void label_is_big_endian(hid_t file) {
  replace(file, "/label", H5T_STD_I32BE, 1, (hsize_t[]){4}, H5P_DEFAULT, (int32_t[4]){0});
}

static void label_too_short(hid_t file) {
  replace(file, "/label", H5T_STD_I32LE, 1, (hsize_t[]){3}, H5P_DEFAULT, (int32_t[3]){0});
}

static void label_of_two_dimensions(hid_t file) {
  replace(file, "/label", H5T_STD_I32LE, 2, (hsize_t[]){4, 1}, H5P_DEFAULT, (int32_t[4]){0});
}

static void label_never_written(hid_t file) {
  hid_t creation = properties(H5P_DATASET_CREATE);
  H5Pset_alloc_time(creation, H5D_ALLOC_TIME_LATE);
  replace(file, "/label", H5T_STD_I32LE, 1, (hsize_t[]){4}, creation, NULL);
  H5Pclose(creation);
}

static void label_chunked(hid_t file) {
  hid_t creation = properties(H5P_DATASET_CREATE);
  H5Pset_chunk(creation, 1, (hsize_t[]){4});
  replace(file, "/label", H5T_STD_I32LE, 1, (hsize_t[]){4}, creation, (int32_t[4]){0});
  H5Pclose(creation);
}

static void label_compressed(hid_t file) {
  hid_t creation = properties(H5P_DATASET_CREATE);
  H5Pset_chunk(creation, 1, (hsize_t[]){4});
  H5Pset_shuffle(creation);
  replace(file, "/label", H5T_STD_I32LE, 1, (hsize_t[]){4}, creation, (int32_t[4]){0});
  H5Pclose(creation);
}

static void label_compact(hid_t file) {
  hid_t creation = properties(H5P_DATASET_CREATE);
  H5Pset_layout(creation, H5D_COMPACT);
  replace(file, "/label", H5T_STD_I32LE, 1, (hsize_t[]){4}, creation, (int32_t[4]){0});
  H5Pclose(creation);
}

/* Would read the bytes of another file into the dataset. */
static void label_external(hid_t file) {
  hid_t creation = properties(H5P_DATASET_CREATE);
  H5Pset_external(creation, "/etc/hostname", 0, 16);
  replace(file, "/label", H5T_STD_I32LE, 1, (hsize_t[]){4}, creation, NULL);
  H5Pclose(creation);
}

static void label_virtual(hid_t file) {
  hid_t creation = properties(H5P_DATASET_CREATE);
  hid_t space = H5Screate_simple(1, (hsize_t[]){4}, NULL);
  H5Pset_virtual(creation, space, "other.h5", "/label", space);
  replace(file, "/label", H5T_STD_I32LE, 1, (hsize_t[]){4}, creation, NULL);
  H5Sclose(space);
  H5Pclose(creation);
}

static void label_soft_link(hid_t file) {
  H5Lmove(file, "/label", file, "/elsewhere", H5P_DEFAULT, H5P_DEFAULT);
  H5Lcreate_soft("/elsewhere", file, "/label", H5P_DEFAULT, H5P_DEFAULT);
}

static void label_external_link(hid_t file) {
  H5Ldelete(file, "/label", H5P_DEFAULT);
  H5Lcreate_external("part-00001.h5", "/label", file, "/label", H5P_DEFAULT, H5P_DEFAULT);
}

static void label_is_group(hid_t file) {
  H5Ldelete(file, "/label", H5P_DEFAULT);
  H5Gclose(H5Gcreate2(file, "/label", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

static void image_group_external(hid_t file) {
  H5Ldelete(file, "/image", H5P_DEFAULT);
  H5Lcreate_external("part-00001.h5", "/image", file, "/image", H5P_DEFAULT, H5P_DEFAULT);
}

static void ids_repeat(hid_t file) { put_int64s(file, "/id", 4, (int64_t[]){1, 2, 2, 3}); }

static void pixels_of_another_shape(hid_t file) {
  replace(file, "/image/pixels", H5T_STD_U8LE, 4, (hsize_t[]){4, FIXTURE_WIDTH, FIXTURE_HEIGHT, 3},
          H5P_DEFAULT, NULL);
}

static void pixels_are_signed(hid_t file) {
  replace(file, "/image/pixels", H5T_STD_I8LE, 4, (hsize_t[]){4, FIXTURE_HEIGHT, FIXTURE_WIDTH, 3},
          H5P_DEFAULT, NULL);
}

/* 2^60 bytes, of which the file holds none: no memory may be asked for. */
static void image_bytes_huge(hid_t file) {
  replace(file, "/image/bytes", H5T_STD_U8LE, 1, (hsize_t[]){(hsize_t)1 << 60}, H5P_DEFAULT, NULL);
}

static int64_t image_total(hid_t file) {
  hsize_t total = 0;
  hid_t array = H5Dopen2(file, "/image/bytes", H5P_DEFAULT);
  hid_t space = H5Dget_space(array);
  H5Sget_simple_extent_dims(space, &total, NULL);
  H5Sclose(space);
  H5Dclose(array);
  return (int64_t)total;
}

static void offsets_fall(hid_t file) {
  put_int64s(file, "/image/offset", 5, (int64_t[]){0, 20, 10, 30, image_total(file)});
}

static void offsets_empty_image(hid_t file) {
  put_int64s(file, "/image/offset", 5, (int64_t[]){0, 20, 20, 30, image_total(file)});
}

static void offsets_start_late(hid_t file) {
  put_int64s(file, "/image/offset", 5, (int64_t[]){1, 20, 25, 30, image_total(file)});
}

static void offsets_end_late(hid_t file) {
  put_int64s(file, "/image/offset", 5, (int64_t[]){0, 20, 25, 30, image_total(file) + 1});
}

static void offsets_beyond_between(hid_t file) {
  int64_t total = image_total(file);
  put_int64s(file, "/image/offset", 5, (int64_t[]){0, 20, INT64_MAX, 30, total});
}

static void offsets_negative(hid_t file) {
  put_int64s(file, "/image/offset", 5, (int64_t[]){0, INT64_MIN, 25, 30, image_total(file)});
}

static void captions_fall(hid_t file) {
  put_int64s(file, "/text/first", 5, (int64_t[]){0, 2, 1, 3, 3});
}

static void captions_too_many(hid_t file) {
  put_int64s(file, "/text/first", 5, (int64_t[]){0, 0, 1, 3, 4});
}

static void caption_offsets_fall(hid_t file) {
  put_int64s(file, "/text/offset", 4, (int64_t[]){0, 30, 20, 40});
}

static void caption_crc_short(hid_t file) {
  replace(file, "/text/crc", H5T_STD_U32LE, 1, (hsize_t[]){2}, H5P_DEFAULT, (uint32_t[2]){0});
}

typedef struct hostile {
  pl_image_storage storage;
  void (*change)(hid_t file);
  const char *words;
} hostile;

static const hostile cases[] = {
    {PL_IMAGE_PIXELS, label_below_range, "sample 2 has label -2; there are 2 classes"},
    {PL_IMAGE_PIXELS, label_above_range, "sample 2 has label 2; there are 2 classes"},
    {PL_IMAGE_PIXELS, label_missing, "there is no /label"},
    {PL_IMAGE_PIXELS, label_is_float, "/label holds elements of the wrong type"},
    {PL_IMAGE_PIXELS, label_is_big_endian, "/label holds elements of the wrong type"},
    {PL_IMAGE_PIXELS, label_too_short, "the shape of /label does not fit"},
    {PL_IMAGE_PIXELS, label_of_two_dimensions, "the shape of /label does not fit"},
    {PL_IMAGE_PIXELS, label_never_written, "/label lies outside of the file"},
    {PL_IMAGE_PIXELS, label_chunked, "/label is not stored in one uncompressed piece"},
    {PL_IMAGE_PIXELS, label_compressed, "/label is not stored in one uncompressed piece"},
    {PL_IMAGE_PIXELS, label_compact, "/label is not stored in one uncompressed piece"},
    {PL_IMAGE_PIXELS, label_external, "/label is not stored in one uncompressed piece"},
    {PL_IMAGE_PIXELS, label_virtual, "/label is not stored in one uncompressed piece"},
    {PL_IMAGE_PIXELS, label_soft_link, "there is no /label"},
    {PL_IMAGE_PIXELS, label_external_link, "there is no /label"},
    {PL_IMAGE_PIXELS, label_is_group, "/label"},
    {PL_IMAGE_PIXELS, image_group_external, "there is no /image/pixels"},
    {PL_IMAGE_PIXELS, ids_repeat, "/id does not ascend at sample 2"},
    {PL_IMAGE_PIXELS, pixels_of_another_shape, "the shape of /image/pixels does not fit"},
    {PL_IMAGE_PIXELS, pixels_are_signed, "/image/pixels holds elements of the wrong type"},
    {PL_IMAGE_ENCODED, image_bytes_huge, "/image/bytes is larger than the file"},
    {PL_IMAGE_ENCODED, offsets_fall, "/image/offset goes from 20 to 10 at entry 1 of 4"},
    {PL_IMAGE_ENCODED, offsets_empty_image, "/image/offset goes from 20 to 20 at entry 1"},
    {PL_IMAGE_ENCODED, offsets_start_late, "/image/offset runs from 1 to"},
    {PL_IMAGE_ENCODED, offsets_end_late, "/image/offset runs from 0 to"},
    {PL_IMAGE_ENCODED, offsets_beyond_between, "/image/offset goes from 20 to 9223372036854775807"},
    {PL_IMAGE_ENCODED, offsets_negative, "/image/offset goes from 0 to -9223372036854775808"},
    {PL_IMAGE_PIXELS, captions_fall, "/text/first goes from 2 to 1 at entry 1"},
    {PL_IMAGE_PIXELS, captions_too_many, "/text/first runs from 0 to 4 instead of from 0 to 3"},
    {PL_IMAGE_PIXELS, caption_offsets_fall, "/text/offset runs from 0 to 40"},
    {PL_IMAGE_PIXELS, caption_crc_short, "the shape of /text/crc does not fit"},
};

static void check_case(const hostile *c) {
  char path[PL_PATH_MAX];
  struct stat info;
  pl_dataset_manifest *manifest = NULL;
  pl_shard shard;
  CHECK_OK(fixture_write(folder, c->storage, true));
  CHECK_OK(pl_dataset_manifest_read(folder, &manifest));
  CHECK_OK(pl_path_join(folder, "part-00000.h5", path));
  CHECK_OK(pl_shard_open(manifest, 0, &shard));
  pl_shard_close(&shard);
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  assert_true(file >= 0);
  c->change(file);
  assert_true(H5Fclose(file) >= 0);
  assert_int_equal(stat(path, &info), 0);
  manifest->shards[0].bytes = info.st_size; /* a forger would have put this right */
  CHECK_FAILS(PL_E_DATA, c->words, pl_shard_open(manifest, 0, &shard));
  assert_non_null(strstr(pl_last_reason()->message, "part-00000.h5: "));
  assert_int_equal(shard.fd, -1);
  pl_dataset_manifest_destroy(&manifest);
}

static void test_hostile_shards(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
}

static void test_not_hdf5(void **state) {
  (void)state;
  static const char text[] = "this is no HDF5 file, however long one looks at it";
  char path[PL_PATH_MAX];
  pl_dataset_manifest *manifest = NULL;
  pl_shard shard;
  CHECK_OK(fixture_write(folder, PL_IMAGE_PIXELS, false));
  CHECK_OK(pl_dataset_manifest_read(folder, &manifest));
  CHECK_OK(pl_path_join(folder, "part-00000.h5", path));
  CHECK_OK(pl_write_file_durably(path, text, sizeof text));
  manifest->shards[0].bytes = sizeof text;
  CHECK_FAILS(PL_E_DATA, "part-00000.h5: not a readable HDF5 file (HDF5: ",
              pl_shard_open(manifest, 0, &shard));
  pl_dataset_manifest_destroy(&manifest);
}

/* Samples of one shard whose ids do not go on from the one before. */
static void test_ids_ascend_between_shards(void **state) {
  (void)state;
  static const uint8_t pixels[FIXTURE_IMAGE_BYTES];
  pl_shard_options options = {PL_IMAGE_PIXELS, FIXTURE_HEIGHT, FIXTURE_WIDTH, false};
  pl_shard_record records[2];
  pl_dataset *dataset = NULL;
  for (int s = 0; s < 2; s++) {
    pl_shard_writer *writer = NULL;
    pl_sample sample = {.image = pixels, .image_bytes = sizeof pixels, .label = -1, .id = 5};
    CHECK_OK(pl_shard_writer_open(folder, s, &options, &writer));
    CHECK_OK(pl_shard_writer_add(writer, &sample));
    CHECK_OK(pl_shard_writer_finish(&writer, &records[s]));
  }
  CHECK_OK(pl_dataset_manifest_write(folder, "image", &options, 2, records, 0, NULL));
  CHECK_FAILS(PL_E_DATA, "part-00001.h5: /id does not ascend from the shard before",
              pl_dataset_open(folder, &dataset));
}

static int set_up(void **state) {
  (void)state;
  fixture_folder(folder);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  return pl_remove_tree(folder) == PL_OK ? 0 : 1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_hostile_shards, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_not_hdf5, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_ids_ascend_between_shards, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
