#include "tests/dist/packing.h"

#include <dirent.h>
#include <png.h>
#include <string.h>

#include "runtime/base/memory.h"

enum { ARGS_MAX = 16 };

void make_scratch(pl_comm *comm, char scratch[PL_PATH_MAX]) {
  if (pl_comm_rank(comm) == 0) {
    const char *base = getenv("TMPDIR");
    snprintf(scratch, PL_PATH_MAX, "%s/plenum-pack-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(scratch));
  }
  CHECK_OK(pl_comm_broadcast(comm, scratch, PL_PATH_MAX, 0));
}

void remove_scratch(pl_comm *comm, const char *scratch) {
  CHECK_OK(pl_comm_barrier(comm));
  if (pl_comm_rank(comm) == 0) CHECK_OK(pl_remove_tree(scratch));
}

pl_status run(pl_comm *comm, const pl_command *command, const char *scratch, const char *words) {
  char text[ARGS_MAX][PL_PATH_MAX];
  char *argv[ARGS_MAX + 1] = {NULL};
  int argc = 0;
  while (*words) {
    size_t length = strcspn(words, " ");
    bool inside = *words == '@';
    assert_true(argc < ARGS_MAX);
    snprintf(text[argc], PL_PATH_MAX, "%s%.*s", inside ? scratch : "", (int)length - inside,
             words + inside);
    argv[argc] = text[argc];
    argc++;
    words += length;
    if (*words) words++;
  }
  return command->run(comm, command, argc, argv);
}

void in_scratch(const char *scratch, const char *name, char path[PL_PATH_MAX]) {
  CHECK_OK(pl_path_join(scratch, name, path));
}

void write_file(const char *scratch, const char *name, const void *bytes, size_t size) {
  char path[PL_PATH_MAX];
  in_scratch(scratch, name, path);
  char *slash = strrchr(path, '/');
  *slash = '\0';
  CHECK_OK(pl_make_folders(path));
  *slash = '/';
  CHECK_OK(pl_write_file_durably(path, bytes, size));
}

size_t make_png(int width, int height, int tint, uint8_t bytes[PNG_BYTES_MAX]) {
  uint8_t pixels[64 * 64 * 3];
  png_image png = {.version = PNG_IMAGE_VERSION,
                   .width = (png_uint_32)width,
                   .height = (png_uint_32)height,
                   .format = PNG_FORMAT_RGB};
  png_alloc_size_t size = PNG_BYTES_MAX;
  for (int i = 0; i < width * height * 3; i++) pixels[i] = (uint8_t)(tint * 37 + i * 3 + i / 7);
  assert_true(png_image_write_to_memory(&png, bytes, &size, 0, pixels, 0, NULL));
  return size;
}

void write_png(const char *scratch, const char *name, int width, int height, int tint) {
  uint8_t bytes[PNG_BYTES_MAX];
  write_file(scratch, name, bytes, make_png(width, height, tint, bytes));
}

static void check_same_file(const char *a, const char *b, const char *name) {
  char path[2][PL_PATH_MAX];
  char *text[2];
  size_t size[2];
  CHECK_OK(pl_path_join(a, name, path[0]));
  CHECK_OK(pl_path_join(b, name, path[1]));
  for (int k = 0; k < 2; k++) CHECK_OK(pl_read_file(path[k], 1 << 26, &text[k], &size[k]));
  assert_int_equal(size[0], size[1]);
  assert_memory_equal(text[0], text[1], size[0]);
  for (int k = 0; k < 2; k++) pl_free(text[k]);
}

int count_files(const char *folder) {
  int count = 0;
  DIR *dir = opendir(folder);
  assert_non_null(dir);
  for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) count += e->d_name[0] != '.';
  closedir(dir);
  return count;
}

/* All files of "@many" are those of "@alone", of which there are `files`. */
static void check_same_dataset(const char *scratch, int files) {
  char many[PL_PATH_MAX];
  char alone[PL_PATH_MAX];
  in_scratch(scratch, "many", many);
  in_scratch(scratch, "alone", alone);
  assert_int_equal(count_files(many), files);
  DIR *dir = opendir(alone);
  assert_non_null(dir);
  for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
    if (e->d_name[0] != '.') check_same_file(many, alone, e->d_name);
  }
  closedir(dir);
  assert_int_equal(count_files(alone), files);
}

void check_as_alone(pl_comm *comm, const pl_command *command, const char *scratch,
                    const char *words, int files) {
  char line[256];
  snprintf(line, sizeof line, "%s --out @/many", words);
  CHECK_OK(run(comm, command, scratch, line));
  if (pl_comm_rank(comm) == 0) {
    pl_comm *self = NULL;
    CHECK_OK(pl_comm_create_self(&self));
    snprintf(line, sizeof line, "%s --out @/alone", words);
    CHECK_OK(run(self, command, scratch, line));
    pl_comm_destroy(&self);
    check_same_dataset(scratch, files);
  }
  CHECK_OK(run(comm, &pl_cmd_data_verify, scratch, "@/many"));
}
