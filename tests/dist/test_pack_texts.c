/* plenum data pack of images with captions, on several ranks: tables, pairs of files, tar files. */
#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include "tests/dist/packing.h"

static void write_text(const char *scratch, const char *name, const char *text) {
  write_file(scratch, name, text, strlen(text));
}

/* Writes six images of several sizes, images/0.png to images/5.png. */
static void write_images(const char *scratch) {
  for (int i = 0; i < 6; i++) {
    char name[32];
    snprintf(name, sizeof name, "images/%d.png", i);
    write_png(scratch, name, 10 + i, 12, i);
  }
}

/* What a packed sample must be: the image of this tint, and captions up to the first NULL. */
typedef struct expected {
  int tint;
  int label;
  const char *captions[4];
} expected;

static void check_sample(const pl_dataset *dataset, int64_t sample, const expected *e) {
  pl_image image = {0};
  int captions = 0;
  CHECK_OK(pl_dataset_read_image(dataset, sample, &image));
  assert_int_equal(image.width, 10 + e->tint);
  assert_int_equal(image.pixels[3], (uint8_t)(e->tint * 37 + 9));
  pl_image_free(&image);
  assert_int_equal(pl_dataset_label(dataset, sample), e->label);
  while (e->captions[captions]) captions++;
  assert_int_equal(pl_dataset_caption_count(dataset, sample), captions);
  for (int k = 0; k < captions; k++) {
    char text[256];
    CHECK_OK(pl_dataset_read_caption(dataset, sample, k, text, sizeof text));
    assert_string_equal(text, e->captions[k]);
  }
}

static void check_dataset(const char *scratch, const expected *samples, int count,
                          const char *const *classes, int class_count) {
  char path[PL_PATH_MAX];
  pl_dataset *dataset = NULL;
  in_scratch(scratch, "many", path);
  CHECK_OK(pl_dataset_open(path, &dataset));
  assert_int_equal(pl_dataset_get_info(dataset)->samples, count);
  assert_int_equal(pl_dataset_get_info(dataset)->classes, class_count);
  for (int c = 0; c < class_count; c++) {
    assert_string_equal(pl_dataset_class_name(dataset, c), classes[c]);
  }
  for (int i = 0; i < count; i++) check_sample(dataset, i, &samples[i]);
  pl_dataset_close(&dataset);
}

/* Labels that are words: the classes are the different ones, sorted. */
static void test_tsv(void **state) {
  char scratch[PL_PATH_MAX];
  char text[2 * PL_PATH_MAX];
  make_scratch(*state, scratch);
  /* quotes mean nothing between tabs; blank lines are passed over; a path may be absolute, and an
   * image may come twice */
  snprintf(text, sizeof text,
           "caption\tgroup\tpath\tmore\n"
           " a \"cat\" \tpets\timages/3.png\tone more\n"
           "caf\xc3\xa9, \xe2\x98\x95\t\t%s/images/0.png\t\n"
           "\n"
           "\tbirds\timages/3.png\ttext, in the other column",
           scratch);
  if (pl_comm_rank(*state) == 0) {
    write_images(scratch);
    write_text(scratch, "table.tsv", text);
  }
  CHECK_OK(pl_comm_barrier(*state));
  check_as_alone(*state, &pl_cmd_data_pack, scratch,
                 "@/table.tsv --label-column group --caption-column caption,more", 2);
  const expected samples[] = {{3, 1, {"a \"cat\"", "one more"}},
                              {0, -1, {"caf\xc3\xa9, \xe2\x98\x95"}},
                              {3, 0, {"text, in the other column"}}};
  check_dataset(scratch, samples, 3, (const char *const[]){"birds", "pets"}, 2);
  remove_scratch(*state, scratch);
}

/* Labels that are numbers stay what they are, also where some do not occur. */
static void test_csv(void **state) {
  static const char text[] =
      "\xef\xbb\xbf"
      "path,\"the \"\"caption\"\"\",label\r\n"
      "images/0.png,\"one, two\",3\r\n"
      "images/1.png,\"over\r\ntwo lines, \"\"quoted\"\"\",0\r\n"
      "\"images/2.png\",5\" screen,\r\n";
  const expected samples[] = {
      {0, 3, {"one, two"}}, {1, 0, {"over\r\ntwo lines, \"quoted\""}}, {2, -1, {"5\" screen"}}};
  const char *const classes[] = {"0", "1", "2", "3"};
  char scratch[PL_PATH_MAX];
  char *argv[] = {
      "",      "--out",       NULL,   "--caption-column", "the \"caption\"", "--label-column",
      "label", "--separator", "comma"};
  char source[2 * PL_PATH_MAX];
  char out[2 * PL_PATH_MAX];
  make_scratch(*state, scratch);
  snprintf(source, sizeof source, "%s/table.dat", scratch);
  snprintf(out, sizeof out, "%s/many", scratch);
  argv[0] = source;
  argv[2] = out;
  if (pl_comm_rank(*state) == 0) {
    write_images(scratch);
    write_text(scratch, "table.dat", text);
  }
  CHECK_OK(pl_comm_barrier(*state));
  /* its ending does not tell that it is a table */
  CHECK_FAILS(PL_E_USAGE, "--format table says so",
              pl_cmd_data_pack.run(*state, &pl_cmd_data_pack, 9, argv));
  char *with_format[] = {argv[0], argv[1], argv[2], argv[3],    argv[4], argv[5],
                         argv[6], argv[7], argv[8], "--format", "table"};
  CHECK_OK(pl_cmd_data_pack.run(*state, &pl_cmd_data_pack, 11, with_format));
  check_dataset(scratch, samples, 3, classes, 4);
  remove_scratch(*state, scratch);
}

/* Enough for several shards, so that ranks share the work. */
static void test_many_rows(void **state) {
  enum { ROWS = 400, ROW_BYTES = 64 };
  static char text[ROWS * ROW_BYTES + ROW_BYTES];
  char scratch[PL_PATH_MAX];
  make_scratch(*state, scratch);
  size_t used = (size_t)snprintf(text, sizeof text, "path,caption\n");
  for (int i = 0; i < ROWS; i++) {
    used +=
        (size_t)snprintf(text + used, sizeof text - used, "images/%d.png,number %d\n", i % 2, i);
  }
  if (pl_comm_rank(*state) == 0) {
    for (int i = 0; i < 2; i++) {
      char name[32];
      snprintf(name, sizeof name, "images/%d.png", i);
      write_png(scratch, name, 64, 63 + i, i);
    }
    write_file(scratch, "table.csv", text, used);
  }
  CHECK_OK(pl_comm_barrier(*state));
  char line[128];
  char path[PL_PATH_MAX];
  pl_dataset *dataset = NULL;
  /* 64 x 64 pixels each: 85 in a MiB */
  snprintf(line, sizeof line, "@/table.csv --size 64 --shard-mb 1");
  check_as_alone(*state, &pl_cmd_data_pack, scratch, line, 6);
  in_scratch(scratch, "many", path);
  CHECK_OK(pl_dataset_open(path, &dataset));
  for (int i = 0; i < ROWS; i++) {
    char expected_text[32];
    char stored[32];
    snprintf(expected_text, sizeof expected_text, "number %d", i);
    CHECK_OK(pl_dataset_read_caption(dataset, i, 0, stored, sizeof stored));
    assert_string_equal(stored, expected_text);
  }
  pl_dataset_close(&dataset);
  remove_scratch(*state, scratch);
}

/* A table that must be refused with these words, on all ranks. */
static void refuse_table(pl_comm *comm, const char *scratch, const char *text, const char *options,
                         const char *words) {
  char line[128];
  CHECK_OK(pl_comm_barrier(comm));
  if (pl_comm_rank(comm) == 0) write_text(scratch, "table.csv", text);
  CHECK_OK(pl_comm_barrier(comm));
  snprintf(line, sizeof line, "@/table.csv --out @/x%s", options);
  CHECK_FAILS(PL_E_DATA, words, run(comm, &pl_cmd_data_pack, scratch, line));
}

static void test_bad_tables(void **state) {
  static const char gaps[] =
      "path,caption\nimages/0.png,a\nimages/1.png,  \nimages/none.png,b\nimages/2.png,c\xff\n"
      "images/3.png,d\n";
  char scratch[PL_PATH_MAX];
  make_scratch(*state, scratch);
  if (pl_comm_rank(*state) == 0) {
    write_images(scratch);
    write_text(scratch, "images/bad.png", "no image");
  }
  refuse_table(*state, scratch, "", "", "table.csv is empty");
  refuse_table(*state, scratch, "file,text\n", "",
               "no column 'path'; its columns are 'file', 'text'");
  refuse_table(*state, scratch, "path,text\n", "", "no column 'caption'");
  refuse_table(*state, scratch, "path,caption,path\n", "", "two columns 'path'");
  refuse_table(*state, scratch, "path,caption\n", " --label-column kind", "no column 'kind'");
  refuse_table(*state, scratch, "path,caption\n", "", "no row that can be packed");
  refuse_table(*state, scratch, "path,caption\nimages/0.png,a\nimages/1.png,b,c\n", "",
               "table.csv:3: a row of 3 fields; the first has 2");
  refuse_table(*state, scratch, "path,caption\nimages/0.png,\"a\nb\n", "",
               "table.csv:2: a quoted field begins in this line and does not end");
  refuse_table(*state, scratch, "path,caption\nimages/0.png,\"a\nb\" c\n", "",
               "table.csv:3: text between a quoted field and the next separator");
  refuse_table(*state, scratch, "path,caption\nimages/0.png,\"a\nb\"\nimages/1.png, \n", "",
               "table.csv:4: the caption is empty (column 'caption')");
  refuse_table(*state, scratch, "path,caption\n,a\n", "", "table.csv:2: the path of the image");
  refuse_table(*state, scratch, "path,caption\nimages/0.png,caf\xe9 \n", "",
               "table.csv:2: the caption is no text in UTF-8, from byte 4 of 4 on");
  refuse_table(*state, scratch, "path,caption,k\nimages/0.png,a,\x01\n", " --label-column k",
               "table.csv:2: class name");
  refuse_table(*state, scratch, "path,caption\nimages/0.png,a\nimages/none.png,a\n", "",
               "table.csv:3: cannot open");
  refuse_table(*state, scratch, "path,caption\nimages/bad.png,a\n", "",
               "images/bad.png: neither JPEG nor PNG");
  /* the first, the fourth and the fifth row lack something */
  refuse_table(*state, scratch, gaps, "", "table.csv:3: the caption is empty");
  check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/table.csv --skip-bad", 2);
  const expected samples[] = {{0, -1, {"a"}}, {3, -1, {"d"}}};
  check_dataset(scratch, samples, 2, NULL, 0);
  remove_scratch(*state, scratch);
}

static void test_pairs(void **state) {
  char scratch[PL_PATH_MAX];
  const char *pack = "@/pairs --format pairs --out @/x";
  make_scratch(*state, scratch);
  if (pl_comm_rank(*state) == 0) {
    write_png(scratch, "pairs/b.png", 11, 12, 1);
    write_png(scratch, "pairs/b-2.png", 12, 12, 2);
    write_png(scratch, "pairs/deep/a.b.png", 10, 12, 0);
    write_text(scratch, "pairs/b.txt", "\xef\xbb\xbfone\r\n\r\n two \nthree");
    write_text(scratch, "pairs/b-2.txt", "caf\xc3\xa9\n");
    write_text(scratch, "pairs/deep/a.b.txt", "deep");
    write_text(scratch, "pairs/notes.md", "x");
  }
  CHECK_OK(pl_comm_barrier(*state));
  check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/pairs --format pairs", 2);
  const expected samples[] = {
      {2, -1, {"caf\xc3\xa9"}}, {1, -1, {"one", "two", "three"}}, {0, -1, {"deep"}}};
  check_dataset(scratch, samples, 3, NULL, 0);

  if (pl_comm_rank(*state) == 0) write_text(scratch, "pairs/lonely.txt", "x");
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA,
              "1 texts without an image of the same name beside them, such as lonely.txt",
              run(*state, &pl_cmd_data_pack, scratch, pack));
  if (pl_comm_rank(*state) == 0) write_png(scratch, "pairs/alone.png", 10, 12, 0);
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "1 images without a .txt of the same name beside them, such as alone.png",
              run(*state, &pl_cmd_data_pack, scratch, pack));
  if (pl_comm_rank(*state) == 0) write_text(scratch, "pairs/alone.txt", "a\nb\xc0\n");
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "pairs/alone.txt: line 2: the caption is no text in UTF-8",
              run(*state, &pl_cmd_data_pack, scratch, pack));
  if (pl_comm_rank(*state) == 0) write_text(scratch, "pairs/alone.txt", " \n");
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "pairs/alone.txt: there is no caption in it",
              run(*state, &pl_cmd_data_pack, scratch, pack));
  check_as_alone(*state, &pl_cmd_data_pack, scratch,
                 "@/pairs --format pairs --skip-bad --overwrite", 2);
  check_dataset(scratch, samples, 3, NULL, 0);
  if (pl_comm_rank(*state) == 0) {
    write_text(scratch, "pairs/alone.txt", "x");
    write_png(scratch, "pairs/b.jpg", 10, 12, 0);
  }
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "b.txt would be the text of both b.jpg and b.png",
              run(*state, &pl_cmd_data_pack, scratch, pack));
  remove_scratch(*state, scratch);
}

/* A member of a tar file: an image of this tint, or a text. */
typedef struct member {
  const char *name;
  const char *text; /* NULL: an image */
  int tint;
} member;

static void write_tar(const char *scratch, const char *name, bool compressed, const member *members,
                      int count) {
  char path[PL_PATH_MAX];
  in_scratch(scratch, name, path);
  struct archive *tar = archive_write_new();
  assert_int_equal(archive_write_set_format_pax_restricted(tar), ARCHIVE_OK);
  if (compressed) assert_int_equal(archive_write_add_filter_gzip(tar), ARCHIVE_OK);
  assert_int_equal(archive_write_open_filename(tar, path), ARCHIVE_OK);
  for (int i = 0; i < count; i++) {
    uint8_t bytes[PNG_BYTES_MAX];
    const void *data = members[i].text ? (const void *)members[i].text : bytes;
    size_t size = members[i].text ? strlen(members[i].text)
                                  : make_png(10 + members[i].tint, 12, members[i].tint, bytes);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, members[i].name);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    /* it warns of names that the locale cannot express, and writes them all the same */
    assert_true(archive_write_header(tar, entry) >= ARCHIVE_WARN);
    assert_int_equal(archive_write_data(tar, data, size), size);
    archive_entry_free(entry);
  }
  assert_int_equal(archive_write_close(tar), ARCHIVE_OK);
  archive_write_free(tar);
}

static void test_webdataset(void **state) {
  static const member first[] = {{"a/0001.png", NULL, 4},     {"a/0001.json", "{}", 0},
                                 {"a/0001.txt", " one\n", 0}, {"a/0001.cls", "7\n", 0},
                                 {"a/0002.txt", "two", 0},    {"a/0002.PNG", NULL, 5},
                                 {"a/.hidden.png", "x", 0},   {"README", "x", 0}};
  static const member second[] = {{"three.v1.txt", "x", 0},
                                  {"caf\xc3\xa9.cls", "2", 0},
                                  {"caf\xc3\xa9.png", NULL, 0},
                                  {"caf\xc3\xa9.txt", "drei\nthree", 0}};
  const expected samples[] = {{4, 7, {"one"}}, {5, -1, {"two"}}, {0, 2, {"drei\nthree"}}};
  const char *const classes[] = {"0", "1", "2", "3", "4", "5", "6", "7"};
  char scratch[PL_PATH_MAX];
  make_scratch(*state, scratch);
  if (pl_comm_rank(*state) == 0) {
    write_text(scratch, "web/notes.md", "x");
    write_tar(scratch, "web/000.tar", false, first, 8);
    write_tar(scratch, "web/001.tar.gz", true, second, 4);
  }
  CHECK_OK(pl_comm_barrier(*state));
  check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/web", 2);
  check_dataset(scratch, samples, 3, classes, 8);
  check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/web/001.tar.gz --overwrite", 2);
  check_dataset(scratch, samples + 2, 1, classes, 3);
  remove_scratch(*state, scratch);
}

static void refuse_tar(pl_comm *comm, const char *scratch, const member *members, int count,
                       const char *words) {
  CHECK_OK(pl_comm_barrier(comm));
  if (pl_comm_rank(comm) == 0) write_tar(scratch, "x.tar", false, members, count);
  CHECK_OK(pl_comm_barrier(comm));
  CHECK_FAILS(PL_E_DATA, words, run(comm, &pl_cmd_data_pack, scratch, "@/x.tar --out @/x"));
}

static void test_bad_tars(void **state) {
  static const member two[] = {{"k.png", NULL, 0}, {"k.jpg", NULL, 1}};
  static const member parted[] = {
      {"a.png", NULL, 0}, {"b.png", NULL, 1}, {"a.txt", "a", 0}, {"b.txt", "b", 0}};
  static const member uneven[] = {
      {"a.png", NULL, 0}, {"a.txt", "a", 0}, {"b.png", NULL, 1}, {"c.png", NULL, 2}};
  static const member empty[] = {{"a.png", NULL, 0}, {"a.txt", "\n", 0}};
  static const member label[] = {{"a.png", NULL, 0}, {"a.cls", "\n", 0}};
  static const member broken[] = {{"a.png", "no image", 0}};
  static const member none[] = {{"a.md", "x", 0}};
  char scratch[PL_PATH_MAX];
  char path[PL_PATH_MAX];
  make_scratch(*state, scratch);
  refuse_tar(*state, scratch, two, 2, "x.tar, sample k: two images, k.png and k.jpg");
  refuse_tar(*state, scratch, parted, 4, "x.tar, sample a: no image follows");
  refuse_tar(*state, scratch, empty, 2, "x.tar, sample a: the caption is empty");
  refuse_tar(*state, scratch, label, 2, "x.tar, sample a: class name \"\" is empty");
  refuse_tar(*state, scratch, broken, 1, "x.tar/a.png: neither JPEG nor PNG");
  refuse_tar(*state, scratch, none, 1, "no image in x.tar");
  refuse_tar(*state, scratch, uneven, 4, "2 of 3 samples have no caption, such as that of b.png");
  check_as_alone(*state, &pl_cmd_data_pack, scratch, "@/x.tar --skip-bad", 2);
  const expected kept[] = {{0, -1, {"a"}}};
  check_dataset(scratch, kept, 1, NULL, 0);
  in_scratch(scratch, "x.tar", path);
  CHECK_OK(pl_comm_barrier(*state));
  if (pl_comm_rank(*state) == 0) assert_int_equal(truncate(path, 700), 0);
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "x.tar: ", run(*state, &pl_cmd_data_pack, scratch, "@/x.tar --out @/x"));
  CHECK_OK(pl_comm_barrier(*state));
  if (pl_comm_rank(*state) == 0) write_text(scratch, "x.tar", "this is no tar file");
  CHECK_OK(pl_comm_barrier(*state));
  CHECK_FAILS(PL_E_DATA, "x.tar: ", run(*state, &pl_cmd_data_pack, scratch, "@/x.tar --out @/x"));
  remove_scratch(*state, scratch);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tsv),       cmocka_unit_test(test_csv),
      cmocka_unit_test(test_many_rows), cmocka_unit_test(test_bad_tables),
      cmocka_unit_test(test_pairs),     cmocka_unit_test(test_webdataset),
      cmocka_unit_test(test_bad_tars),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
