/* plenum data pack, synth and verify on several ranks: the same dataset, byte for byte, as one rank
 * makes, and each kind of bad input refused by name on all ranks. */
#include <fcntl.h>
#include <unistd.h>

#include "tests/dist/packing.h"

/* Two classes of so many images; the second class has images in a folder of its own as well. */
static void write_images(const char *scratch, int each, bool one_size) {
  char name[64];
  for (int i = 0; i < each; i++) {
    int side = one_size ? 12 : 10 + i % 5;
    snprintf(name, sizeof name, "images/cat/%03d.png", i);
    write_png(scratch, name, side, 12, i);
    snprintf(name, sizeof name, "images/dog/%s%03d.PNG", i % 2 ? "inner/" : "", i);
    write_png(scratch, name, side, 12, 100 + i);
  }
  write_file(scratch, "images/dog/.hidden", "x", 1);
  write_file(scratch, "images/dog/notes.txt", "x", 1);
}

static void test_synth(void **state) {
  char scratch[PL_PATH_MAX];
  make_scratch(*state, scratch);
  /* 3072 bytes each: 341 fit into a MiB, so 6 shards */
  check_as_alone(*state, &pl_cmd_data_synth, scratch,
                 "shapes --samples 2000 --shard-mb 1 --seed 5 --start 7", 7);
  remove_scratch(*state, scratch);
}

static void test_folder(void **state) {
  for (int one_size = 0; one_size < 2; one_size++) {
    char scratch[PL_PATH_MAX];
    char path[PL_PATH_MAX];
    pl_dataset *dataset = NULL;
    make_scratch(*state, scratch);
    if (pl_comm_rank(*state) == 0) write_images(scratch, 9, one_size);
    CHECK_OK(pl_comm_barrier(*state));
    check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/images", 2);
    in_scratch(scratch, "many", path);
    CHECK_OK(pl_dataset_open(path, &dataset));
    const pl_dataset_info *info = pl_dataset_get_info(dataset);
    assert_int_equal(info->samples, 18);
    assert_int_equal(info->classes, 2);
    assert_string_equal(pl_dataset_class_name(dataset, 1), "dog");
    assert_int_equal(info->storage, one_size ? PL_IMAGE_PIXELS : PL_IMAGE_ENCODED);
    assert_int_equal(info->width, one_size ? 12 : 0);
    for (int i = 0; i < 18; i++) assert_int_equal(pl_dataset_label(dataset, i), i >= 9);
    pl_dataset_close(&dataset);
    remove_scratch(*state, scratch);
  }
}

static void test_size(void **state) {
  char scratch[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  pl_dataset *dataset = NULL;
  make_scratch(*state, scratch);
  if (pl_comm_rank(*state) == 0) write_images(scratch, 4, false);
  CHECK_OK(pl_comm_barrier(*state));
  check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/images --size 8", 2);
  in_scratch(scratch, "many", path);
  CHECK_OK(pl_dataset_open(path, &dataset));
  assert_int_equal(pl_dataset_get_info(dataset)->storage, PL_IMAGE_PIXELS);
  assert_int_equal(pl_dataset_get_info(dataset)->width, 8);
  pl_dataset_close(&dataset);
  CHECK_FAILS(PL_E_USAGE, "stored as pixels only with --size",
              run(*state, &pl_cmd_data_pack, scratch, "@/images --storage pixels --out @/x"));
  CHECK_FAILS(
      PL_E_USAGE, "does not go with --storage encoded",
      run(*state, &pl_cmd_data_pack, scratch, "@/images --size 8 --storage encoded --out @/x"));
  remove_scratch(*state, scratch);
}

/* Labels and pixels of CIFAR-10 records, planes before and pixels after. */
static void test_cifar(void **state) {
  enum { RECORD = 1 + 3072, RECORDS = 7 };
  char scratch[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  pl_dataset *dataset = NULL;
  pl_image image = {0};
  static uint8_t bytes[RECORDS * RECORD];
  for (int i = 0; i < RECORDS * RECORD; i++) bytes[i] = (uint8_t)(i * 7 + i / 1000);
  for (int r = 0; r < RECORDS; r++) bytes[r * RECORD] = (uint8_t)(r + 3);
  make_scratch(*state, scratch);
  if (pl_comm_rank(*state) == 0) {
    write_file(scratch, "cifar/test_batch.bin", bytes, sizeof bytes);
    write_file(scratch, "cifar/batches.meta.txt", "airplane\r\ncar\n", 14);
  }
  CHECK_OK(pl_comm_barrier(*state));
  check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/cifar --split test", 2);
  in_scratch(scratch, "many", path);
  CHECK_OK(pl_dataset_open(path, &dataset));
  assert_int_equal(pl_dataset_get_info(dataset)->samples, RECORDS);
  assert_string_equal(pl_dataset_class_name(dataset, 0), "airplane");
  assert_string_equal(pl_dataset_class_name(dataset, 1), "car");
  assert_string_equal(pl_dataset_class_name(dataset, 2), "2");
  for (int r = 0; r < RECORDS; r++) {
    const uint8_t *planes = bytes + r * RECORD + 1;
    assert_int_equal(pl_dataset_label(dataset, r), r + 3);
    CHECK_OK(pl_dataset_read_image(dataset, r, &image));
    for (int i = 0; i < 3072; i++) {
      assert_int_equal(image.pixels[i], planes[i % 3 * 1024 + i / 3]);
    }
  }
  pl_image_free(&image);
  pl_dataset_close(&dataset);
  CHECK_FAILS(PL_E_DATA, "data_batch_1.bin",
              run(*state, &pl_cmd_data_pack, scratch, "@/cifar --out @/x"));
  if (pl_comm_rank(*state) == 0) {
    write_file(scratch, "cifar/test_batch.bin", bytes, sizeof bytes - 1);
  }
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "test_batch.bin has",
              run(*state, &pl_cmd_data_pack, scratch, "@/cifar --split test --out @/x"));
  remove_scratch(*state, scratch);
}

static void test_bad_image(void **state) {
  char scratch[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  pl_dataset *dataset = NULL;
  make_scratch(*state, scratch);
  if (pl_comm_rank(*state) == 0) {
    write_images(scratch, 5, true);
    write_file(scratch, "images/cat/bad.jpg", "no image", 8);
  }
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "images/cat/bad.jpg: neither JPEG nor PNG",
              run(*state, &pl_cmd_data_pack, scratch, "@/images --out @/many"));
  in_scratch(scratch, "many", path);
  assert_false(pl_path_exists(path));
  in_scratch(scratch, "many.tmp", path);
  assert_false(pl_path_exists(path));
  check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/images --skip-bad", 2);
  in_scratch(scratch, "many", path);
  CHECK_OK(pl_dataset_open(path, &dataset));
  assert_int_equal(pl_dataset_get_info(dataset)->samples, 10);
  assert_int_equal(pl_dataset_id(dataset, 4), 4);
  assert_int_equal(pl_dataset_id(dataset, 5), 6); /* the bad one is the sixth file */
  pl_dataset_close(&dataset);
  remove_scratch(*state, scratch);
}

static void test_bad_folders(void **state) {
  char scratch[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  make_scratch(*state, scratch);
  if (pl_comm_rank(*state) == 0) {
    write_png(scratch, "flat/a.png", 8, 8, 1);
    write_png(scratch, "flat/b.png", 8, 8, 2);
    write_png(scratch, "mixed/a.png", 8, 8, 1);
    write_png(scratch, "mixed/cat/a.png", 8, 8, 1);
    write_png(scratch, "hollow/cat/a.png", 8, 8, 1);
    write_file(scratch, "hollow/dog/readme", "x", 1);
    write_file(scratch, "empty/readme", "x", 1);
    write_png(scratch, "latin/caf\xe9/a.png", 8, 8, 1);
  }
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "/nowhere is not a folder",
              run(*state, &pl_cmd_data_pack, scratch, "@/nowhere --out @/x"));
  CHECK_FAILS(PL_E_DATA, "hollow/dog holds no JPEG or PNG file",
              run(*state, &pl_cmd_data_pack, scratch, "@/hollow --out @/x"));
  CHECK_FAILS(PL_E_DATA, "holds class folders, such as cat, and also images, such as a.png",
              run(*state, &pl_cmd_data_pack, scratch, "@/mixed --out @/x"));
  CHECK_FAILS(PL_E_DATA, "holds neither class folders nor JPEG or PNG files",
              run(*state, &pl_cmd_data_pack, scratch, "@/empty --out @/x"));
  CHECK_FAILS(PL_E_DATA, "not UTF-8", run(*state, &pl_cmd_data_pack, scratch, "@/latin --out @/x"));
  CHECK_FAILS(PL_E_USAGE, "--out is missing", run(*state, &pl_cmd_data_pack, scratch, "@/flat"));
  in_scratch(scratch, "x.tmp", path);
  assert_false(pl_path_exists(path));
  check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/flat", 2);
  remove_scratch(*state, scratch);
}

static void test_overwrite(void **state) {
  char scratch[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  const char *first = "shapes --samples 10 --out @/out";
  const char *second = "shapes --samples 20 --out @/out/ --overwrite";
  pl_dataset *dataset = NULL;
  make_scratch(*state, scratch);
  in_scratch(scratch, "out", path);
  CHECK_OK(run(*state, &pl_cmd_data_synth, scratch, first));
  CHECK_FAILS(PL_E_USAGE, "is not empty; --overwrite replaces it",
              run(*state, &pl_cmd_data_synth, scratch, first));
  CHECK_OK(run(*state, &pl_cmd_data_synth, scratch, second));
  CHECK_OK(pl_dataset_open(path, &dataset));
  assert_int_equal(pl_dataset_get_info(dataset)->samples, 20);
  pl_dataset_close(&dataset);
  CHECK_OK(pl_comm_barrier(*state));
  if (pl_comm_rank(*state) == 0) write_file(scratch, "out/precious.txt", "x", 1);
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_USAGE, "holds precious.txt, which is no part of a dataset",
              run(*state, &pl_cmd_data_synth, scratch, second));
  CHECK_OK(pl_dataset_open(path, &dataset));
  pl_dataset_close(&dataset);
  if (pl_comm_rank(*state) == 0) assert_int_equal(count_files(scratch), 1);
  remove_scratch(*state, scratch);
}

/* One shard with a damaged sample, one cut off: both are found, whoever looks. */
static void test_verify(void **state) {
  char scratch[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  make_scratch(*state, scratch);
  CHECK_OK(
      run(*state, &pl_cmd_data_synth, scratch, "shapes --samples 1200 --shard-mb 1 --out @/out"));
  if (pl_comm_rank(*state) == 0) {
    uint8_t byte = 0;
    in_scratch(scratch, "out/part-00001.h5", path);
    int fd = open(path, O_RDWR);
    off_t middle = lseek(fd, 0, SEEK_END) / 2;
    assert_int_equal(pread(fd, &byte, 1, middle), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, middle), 1);
    close(fd);
    in_scratch(scratch, "out/part-00003.h5", path);
    assert_int_equal(truncate(path, 5000), 0);
  }
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "2 of 4 shards are damaged, with 1 damaged samples",
              run(*state, &pl_cmd_data_verify, scratch, "@/out"));
  CHECK_FAILS(PL_E_DATA, "is no dataset", run(*state, &pl_cmd_data_verify, scratch, "@/nowhere"));
  remove_scratch(*state, scratch);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_synth),     cmocka_unit_test(test_folder),
      cmocka_unit_test(test_size),      cmocka_unit_test(test_cifar),
      cmocka_unit_test(test_bad_image), cmocka_unit_test(test_bad_folders),
      cmocka_unit_test(test_overwrite), cmocka_unit_test(test_verify),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
