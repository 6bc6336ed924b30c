/* runtime/store/checkpoint: what is written by any cut is read by any other; what is damaged,
 * missing, foreign or hostile is refused with its name; a full disk harms nothing. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/store/checkpoint.h"
#include "tests/check.h"

enum { MOST_RANKS = 7, VECTORS = 2 };

static const char config_text[] =
    "run: {name: \"caf\xC3\xA9 \xF0\x9F\x90\x9F\", dir: 'a: b'}\n"
    "\n"
    "    indented\n"
    "...\n"
    "--- # \"quotes\" \\ and \t tabs   \n"
    "\n\n";

typedef struct tensor {
  const char *name;
  pl_param_kind kind;
  int dims;
  int64_t dim[PL_MAX_DIMS];
} tensor;

static const tensor tensors[] = {{"stem.conv", PL_PARAM_WEIGHT, 4, {16, 3, 7, 7}},
                                 {"stem.gain", PL_PARAM_GAIN, 1, {16}},
                                 {"stem.bias", PL_PARAM_BIAS, 1, {16}},
                                 {"head.weight", PL_PARAM_WEIGHT, 2, {100, 50}},
                                 {"odd \"name\": \\ [x]", PL_PARAM_BIAS, 1, {100}}};
enum { TENSORS = sizeof tensors / sizeof *tensors };

static void add_tensor(pl_space *space, const tensor *t) {
  int index;
  CHECK_OK(pl_space_add(space, t->name, t->kind, t->dims, t->dim, (pl_init){0}, &index));
}

/* The tensors in this order or in reverse, and two buffers. */
static pl_space *make_space(bool reverse) {
  pl_space *space;
  int index;
  CHECK_OK(pl_space_create(&space));
  for (int t = 0; t < TENSORS; t++) add_tensor(space, &tensors[reverse ? TENSORS - 1 - t : t]);
  CHECK_OK(pl_space_add_buffer(space, reverse ? "stem.var" : "stem.mean", 16, 0, &index));
  CHECK_OK(pl_space_add_buffer(space, reverse ? "stem.mean" : "stem.var", 16, 1, &index));
  CHECK_OK(pl_space_seal(space, PL_F32, sizeof(float) * PL_BLOCK * 4));
  return space;
}

/* What element `index` of a tensor is in vector `vector`; differs between all of them. */
static float element(const char *name, int vector, int64_t index) {
  return (float)(name[0] + 3 * name[5]) + (float)vector / 4 + (float)index * 128;
}

/* One rank's vectors. */
typedef struct share {
  pl_slice *slice;
  pl_checkpoint_vectors vectors;
} share;

static share make_share(const pl_space *space, int ranks, int rank, bool filled) {
  share s = {.vectors = {.count = VECTORS, .name = {"params", "momentum"}}};
  CHECK_OK(pl_slice_create(space, ranks, rank, &s.slice));
  for (int v = 0; v < VECTORS; v++) {
    float *values = pl_alloc((size_t)s.slice->blocks * PL_BLOCK, sizeof(float));
    assert_non_null(values);
    s.vectors.values[v] = values;
    for (int64_t b = 0; filled && b < s.slice->blocks; b++) {
      int64_t number = s.slice->block[b];
      const pl_param *param = pl_space_param(space, pl_space_block_param(space, number));
      int64_t first = (number - param->first_block) * PL_BLOCK;
      for (int64_t i = 0; i < PL_BLOCK && first + i < param->count; i++) {
        values[b * PL_BLOCK + i] = element(param->name, v, first + i);
      }
    }
  }
  return s;
}

static void free_share(share *s) {
  for (int v = 0; v < VECTORS; v++) pl_free(s->vectors.values[v]);
  pl_slice_destroy(&s->slice);
}

static float *make_buffers(const pl_space *space, bool filled) {
  float *buffers = pl_alloc((size_t)pl_space_buffer_elements(space), sizeof(float));
  assert_non_null(buffers);
  for (int b = 0; filled && b < pl_space_buffers(space); b++) {
    const pl_buffer *buffer = pl_space_buffer(space, b);
    for (int64_t i = 0; i < buffer->count; i++) {
      buffers[buffer->offset + i] = element(buffer->name, 0, i);
    }
  }
  return buffers;
}

/* What a test writes and where. */
typedef struct fixture {
  char parent[64];
  pl_space *space;
} fixture;

static int set_up(void **state) {
  fixture *f = pl_alloc(1, sizeof *f);
  assert_non_null(f);
  strcpy(f->parent, "/tmp/plenum-checkpoint-XXXXXX");
  assert_non_null(mkdtemp(f->parent));
  f->space = make_space(false);
  pl_log_set_level(PL_LOG_ERROR);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  CHECK_OK(pl_remove_tree(f->parent));
  pl_space_destroy(&f->space);
  pl_free(f);
  return 0;
}

static pl_status write_parts(const fixture *f, int ranks, int64_t step,
                             pl_checkpoint_part_record *records) {
  char temporary[PL_PATH_MAX];
  CHECK_OK(pl_checkpoint_begin(f->parent, step));
  CHECK_OK(pl_checkpoint_path(f->parent, step, true, temporary));
  float *buffers = make_buffers(f->space, true);
  pl_status status = PL_OK;
  for (int rank = 0; rank < ranks && status == PL_OK; rank++) {
    share s = make_share(f->space, ranks, rank, true);
    status = pl_checkpoint_write_part(temporary, f->space, s.slice, &s.vectors,
                                      rank == 0 ? buffers : NULL, &records[rank]);
    free_share(&s);
  }
  pl_free(buffers);
  return status;
}

static pl_status commit(const fixture *f, int ranks, int64_t step,
                        const pl_checkpoint_part_record *records, const char *config) {
  pl_checkpoint_vectors names = {.count = VECTORS, .name = {"params", "momentum"}};
  pl_checkpoint_manifest manifest = {.step = step,
                                     .position = step * 512,
                                     .skipped = 3,
                                     .parts = ranks,
                                     .part = records,
                                     .config_yaml = config,
                                     .build = "0.1.0 \"test\"",
                                     .state_hash = "0123456789abcdef0123456789abcdef"};
  return pl_checkpoint_commit(f->parent, f->space, &names, &manifest);
}

static pl_status write_all(const fixture *f, int ranks, int64_t step) {
  pl_checkpoint_part_record records[MOST_RANKS];
  PL_TRY(write_parts(f, ranks, step, records));
  return commit(f, ranks, step, records, config_text);
}

/* Path of a file of a checkpoint. */
static const char *path_of(const fixture *f, int64_t step, const char *name) {
  static char path[PL_PATH_MAX];
  char folder[PL_PATH_MAX];
  CHECK_OK(pl_checkpoint_path(f->parent, step, false, folder));
  CHECK_OK(pl_path_join(folder, name, path));
  return path;
}

static pl_status open_step(const fixture *f, int64_t step, pl_checkpoint **out) {
  char folder[PL_PATH_MAX];
  CHECK_OK(pl_checkpoint_path(f->parent, step, false, folder));
  return pl_checkpoint_open(folder, out);
}

/* Reads on `ranks` ranks into `space` and compares every element. */
static void check_contents(const pl_checkpoint *checkpoint, const pl_space *space, int ranks) {
  for (int rank = 0; rank < ranks; rank++) {
    share got = make_share(space, ranks, rank, false);
    share expected = make_share(space, ranks, rank, true);
    float *buffers = make_buffers(space, false), *expected_buffers = make_buffers(space, true);
    CHECK_OK(pl_checkpoint_read(checkpoint, space, got.slice, &got.vectors, buffers));
    size_t bytes = (size_t)got.slice->blocks * PL_BLOCK * sizeof(float);
    for (int v = 0; v < VECTORS; v++) {
      assert_memory_equal(got.vectors.values[v], expected.vectors.values[v], bytes);
    }
    assert_memory_equal(buffers, expected_buffers,
                        (size_t)pl_space_buffer_elements(space) * sizeof(float));
    pl_free(buffers);
    pl_free(expected_buffers);
    free_share(&got);
    free_share(&expected);
  }
}

static void any_cut_reads_any_other(void **state) {
  const fixture *f = *state;
  const int cuts[][2] = {{1, 1}, {4, 2}, {2, 3}, {7, 1}, {3, 7}};
  for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
    int64_t step = 100 + (int64_t)k;
    CHECK_OK(write_all(f, cuts[k][0], step));
    pl_checkpoint *checkpoint;
    CHECK_OK(open_step(f, step, &checkpoint));
    assert_int_equal(pl_checkpoint_step(checkpoint), step);
    assert_int_equal(pl_checkpoint_position(checkpoint), step * 512);
    assert_int_equal(pl_checkpoint_skipped(checkpoint), 3);
    assert_string_equal(pl_checkpoint_config(checkpoint), config_text);
    assert_string_equal(pl_checkpoint_build(checkpoint), "0.1.0 \"test\"");
    assert_string_equal(pl_checkpoint_state_hash(checkpoint), "0123456789abcdef0123456789abcdef");
    check_contents(checkpoint, f->space, cuts[k][1]);
    pl_checkpoint_close(&checkpoint);
    assert_null(checkpoint);
  }
}

static void tensors_are_found_by_name(void **state) {
  const fixture *f = *state;
  pl_space *reversed = make_space(true);
  pl_checkpoint *checkpoint;
  CHECK_OK(write_all(f, 3, 1));
  CHECK_OK(open_step(f, 1, &checkpoint));
  check_contents(checkpoint, reversed, 2);
  pl_checkpoint_close(&checkpoint);
  pl_space_destroy(&reversed);
}

/* More ranks than blocks: some parts hold none. */
static void empty_slices_have_parts(void **state) {
  const fixture *f = *state;
  pl_space *small;
  CHECK_OK(pl_space_create(&small));
  add_tensor(small, &tensors[1]);
  CHECK_OK(pl_space_seal(small, PL_F32, 1 << 20));
  fixture g = *f;
  g.space = small;
  pl_checkpoint_part_record records[3];
  char temporary[PL_PATH_MAX];
  CHECK_OK(pl_checkpoint_begin(f->parent, 1));
  CHECK_OK(pl_checkpoint_path(f->parent, 1, true, temporary));
  for (int rank = 0; rank < 3; rank++) {
    share s = make_share(small, 3, rank, true);
    CHECK_OK(pl_checkpoint_write_part(temporary, small, s.slice, &s.vectors, NULL, &records[rank]));
    free_share(&s);
  }
  CHECK_OK(commit(&g, 3, 1, records, "x"));
  pl_checkpoint *checkpoint;
  CHECK_OK(open_step(f, 1, &checkpoint));
  share s = make_share(small, 1, 0, false);
  CHECK_OK(pl_checkpoint_read(checkpoint, small, s.slice, &s.vectors, NULL));
  assert_true(s.vectors.values[1][15] == element("stem.gain", 1, 15));
  free_share(&s);
  pl_checkpoint_close(&checkpoint);
  pl_space_destroy(&small);
}

/* The same state gives the same bytes: no time stamps, no addresses. */
static void parts_are_reproducible(void **state) {
  const fixture *f = *state;
  pl_checkpoint_part_record first[2], second[2];
  CHECK_OK(write_parts(f, 2, 1, first));
  sleep(1); /* HDF5's time stamps have seconds */
  CHECK_OK(write_parts(f, 2, 2, second));
  for (int rank = 0; rank < 2; rank++) {
    assert_int_equal(first[rank].bytes, second[rank].bytes);
    assert_string_equal(first[rank].hash, second[rank].hash);
  }
}

static void a_step_written_again_replaces_the_first(void **state) {
  const fixture *f = *state;
  pl_checkpoint *checkpoint;
  char aside[PL_PATH_MAX];
  CHECK_OK(write_all(f, 3, 1));
  CHECK_OK(write_all(f, 2, 1));
  CHECK_OK(open_step(f, 1, &checkpoint));
  check_contents(checkpoint, f->space, 1);
  pl_checkpoint_close(&checkpoint);
  assert_false(pl_path_exists(path_of(f, 1, "part-00002.h5")));
  CHECK_OK(pl_path_join(f->parent, "step-00000001.replaced.tmp", aside));
  assert_false(pl_path_exists(aside));
  CHECK_OK(pl_checkpoint_path(f->parent, 1, true, aside));
  assert_false(pl_path_exists(aside));
}

/* Overwrites one byte of a file, `from_end` bytes before its end. */
static void flip_bit(const char *path, long from_end) {
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
  int byte = getc(file);
  assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
  putc(byte ^ 1, file);
  assert_int_equal(fclose(file), 0);
}

static void damage_is_named(void **state) {
  const fixture *f = *state;
  pl_checkpoint *checkpoint;
  struct stat info;
  CHECK_OK(write_all(f, 3, 1));
  for (long from_end = 1; from_end < 20000; from_end = from_end * 3 + 7) {
    flip_bit(path_of(f, 1, "part-00001.h5"), from_end);
    CHECK_FAILS(PL_E_DATA, "part-00001.h5 is damaged", open_step(f, 1, &checkpoint));
    assert_null(checkpoint);
    flip_bit(path_of(f, 1, "part-00001.h5"), from_end);
  }
  CHECK_OK(open_step(f, 1, &checkpoint));
  pl_checkpoint_close(&checkpoint);

  assert_int_equal(stat(path_of(f, 1, "part-00002.h5"), &info), 0);
  assert_int_equal(truncate(path_of(f, 1, "part-00002.h5"), info.st_size - 1), 0);
  CHECK_FAILS(PL_E_DATA, "the manifest says", open_step(f, 1, &checkpoint));
  assert_int_equal(unlink(path_of(f, 1, "part-00002.h5")), 0);
  CHECK_FAILS(PL_E_DATA, "part-00002.h5", open_step(f, 1, &checkpoint));
  assert_int_equal(unlink(path_of(f, 1, "manifest.yaml")), 0);
  CHECK_FAILS(PL_E_DATA, "manifest.yaml", open_step(f, 1, &checkpoint));
  CHECK_FAILS(PL_E_DATA, "step-00000077", open_step(f, 77, &checkpoint));
}

/* A file of the right size and hash that is not a part, and a part that is not the one written. */
static void foreign_parts_are_refused(void **state) {
  const fixture *f = *state;
  static const char text[200000] = "not HDF5";
  char temporary[PL_PATH_MAX], path[PL_PATH_MAX];
  pl_checkpoint_part_record record;
  CHECK_OK(write_parts(f, 1, 1, &record));
  CHECK_OK(pl_checkpoint_path(f->parent, 1, true, temporary));
  CHECK_OK(pl_path_join(temporary, "part-00000.h5", path));
  CHECK_OK(pl_write_file_durably(path, text, sizeof text));
  CHECK_FAILS(PL_E_IO, "were written", commit(f, 1, 1, &record, "x"));
  record.bytes = sizeof text;
  pl_hash_text(pl_hash(text, sizeof text), record.hash);
  CHECK_OK(commit(f, 1, 1, &record, "x"));

  pl_checkpoint *checkpoint;
  CHECK_OK(open_step(f, 1, &checkpoint));
  share s = make_share(f->space, 1, 0, false);
  CHECK_FAILS(PL_E_DATA, "cannot open",
              pl_checkpoint_read(checkpoint, f->space, s.slice, &s.vectors, NULL));
  pl_checkpoint_close(&checkpoint);

  /* one rank's part in place of the other's as well */
  pl_checkpoint_part_record records[2];
  char *copy;
  size_t size;
  CHECK_OK(write_parts(f, 2, 2, records));
  CHECK_OK(pl_checkpoint_path(f->parent, 2, true, temporary));
  CHECK_OK(pl_path_join(temporary, "part-00001.h5", path));
  CHECK_OK(pl_read_file(path, 1 << 20, &copy, &size));
  CHECK_OK(pl_path_join(temporary, "part-00000.h5", path));
  CHECK_OK(pl_write_file_durably(path, copy, size));
  pl_free(copy);
  records[0] = records[1];
  CHECK_OK(commit(f, 2, 2, records, "x"));
  CHECK_OK(open_step(f, 2, &checkpoint));
  CHECK_FAILS(PL_E_DATA, "no part of",
              pl_checkpoint_read(checkpoint, f->space, s.slice, &s.vectors, NULL));
  pl_checkpoint_close(&checkpoint);
  free_share(&s);
}

/* Details of what differs are tested in test_checkpoint_manifest.c. */
static void other_models_are_refused(void **state) {
  const fixture *f = *state;
  pl_space *other;
  pl_checkpoint *checkpoint;
  CHECK_OK(write_all(f, 2, 1));
  CHECK_OK(open_step(f, 1, &checkpoint));
  CHECK_OK(pl_space_create(&other));
  add_tensor(other, &tensors[0]);
  CHECK_OK(pl_space_seal(other, PL_F32, 1 << 20));
  share s = make_share(other, 1, 0, false);
  CHECK_FAILS(PL_E_DATA, "differ in 6 tensors",
              pl_checkpoint_read(checkpoint, other, s.slice, &s.vectors, NULL));
  free_share(&s);
  pl_space_destroy(&other);
  pl_checkpoint_close(&checkpoint);
}

static void missing_vectors_are_named(void **state) {
  const fixture *f = *state;
  pl_checkpoint *checkpoint;
  CHECK_OK(write_all(f, 1, 1));
  CHECK_OK(open_step(f, 1, &checkpoint));
  share s = make_share(f->space, 1, 0, false);
  s.vectors.name[1] = "second";
  CHECK_FAILS(PL_E_DATA, "\"second\"",
              pl_checkpoint_read(checkpoint, f->space, s.slice, &s.vectors, NULL));
  s.vectors.count = 1; /* a part of what is there may be read */
  CHECK_OK(pl_checkpoint_read(checkpoint, f->space, s.slice, &s.vectors, NULL));
  free_share(&s);
  pl_checkpoint_close(&checkpoint);
}

static void buffers_come_from_rank_0(void **state) {
  const fixture *f = *state;
  char temporary[PL_PATH_MAX];
  pl_checkpoint_part_record record;
  CHECK_OK(pl_checkpoint_begin(f->parent, 1));
  CHECK_OK(pl_checkpoint_path(f->parent, 1, true, temporary));
  for (int rank = 0; rank < 2; rank++) {
    share s = make_share(f->space, 2, rank, true);
    float *buffers = make_buffers(f->space, true);
    CHECK_FAILS(PL_E_INTERNAL, "buffers",
                pl_checkpoint_write_part(temporary, f->space, s.slice, &s.vectors,
                                         rank == 0 ? NULL : buffers, &record));
    pl_free(buffers);
    free_share(&s);
  }
}

static void newest_that_verifies_is_opened(void **state) {
  const fixture *f = *state;
  pl_checkpoint *checkpoint;
  CHECK_FAILS(PL_E_DATA, "there is no checkpoint",
              pl_checkpoint_open_newest(f->parent, &checkpoint));
  CHECK_OK(write_all(f, 2, 5));
  CHECK_OK(write_all(f, 2, 20));
  CHECK_OK(write_all(f, 1, 100000000)); /* nine digits sort by number */
  pl_checkpoint_part_record records[1];
  CHECK_OK(write_parts(f, 1, 200000000, records)); /* temporary: not looked at */
  char stray[PL_PATH_MAX];
  const char *strays[] = {"step-0000030", "step-00000400x", "step-99999999999999999999", "step-"};
  for (int k = 0; k < 4; k++) {
    CHECK_OK(pl_path_join(f->parent, strays[k], stray));
    CHECK_OK(pl_make_folders(stray));
  }
  CHECK_OK(pl_checkpoint_open_newest(f->parent, &checkpoint));
  assert_int_equal(pl_checkpoint_step(checkpoint), 100000000);
  pl_checkpoint_close(&checkpoint);
  flip_bit(path_of(f, 100000000, "part-00000.h5"), 100);
  CHECK_OK(pl_checkpoint_open_newest(f->parent, &checkpoint));
  assert_int_equal(pl_checkpoint_step(checkpoint), 20);
  pl_checkpoint_close(&checkpoint);
  flip_bit(path_of(f, 20, "manifest.yaml"), 100);
  assert_int_equal(unlink(path_of(f, 20, "part-00001.h5")), 0);
  CHECK_OK(pl_checkpoint_open_newest(f->parent, &checkpoint));
  assert_int_equal(pl_checkpoint_step(checkpoint), 5);
  check_contents(checkpoint, f->space, 1);
  pl_checkpoint_close(&checkpoint);
  assert_int_equal(unlink(path_of(f, 5, "manifest.yaml")), 0);
  CHECK_FAILS(PL_E_DATA, "none of the 3 checkpoints",
              pl_checkpoint_open_newest(f->parent, &checkpoint));
  assert_null(checkpoint);
}

static int lowest_free_descriptor(void) {
  int fd = open("/dev/null", O_RDONLY);
  close(fd);
  return fd;
}

/* No file may grow beyond `bytes`, as on a full disk; RLIM_INFINITY lifts it. */
static void limit_files(rlim_t bytes) {
  struct rlimit limit;
  signal(SIGXFSZ, bytes == RLIM_INFINITY ? SIG_DFL : SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  limit.rlim_cur = bytes == RLIM_INFINITY ? limit.rlim_max : bytes;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A write that fails says why; the checkpoint before is whole, and the failed one is none. */
static void check_failed_write(const fixture *f, pl_status status) {
  pl_checkpoint *checkpoint;
  assert_int_equal(status, PL_E_IO);
  if (!strstr(pl_last_reason()->message, "File too large")) {
    fail_msg("no reason in \"%s\"", pl_last_reason()->message);
  }
  CHECK_OK(pl_checkpoint_open_newest(f->parent, &checkpoint));
  assert_int_equal(pl_checkpoint_step(checkpoint), 1);
  check_contents(checkpoint, f->space, 1);
  pl_checkpoint_close(&checkpoint);
}

static void full_disk_harms_nothing(void **state) {
  const fixture *f = *state;
  pl_checkpoint *checkpoint;
  pl_checkpoint_part_record records[2];
  CHECK_OK(write_all(f, 2, 1));
  int free_descriptor = lowest_free_descriptor();
  for (rlim_t bytes = 0; bytes <= 32768; bytes = bytes * 4 + 128) { /* in parts */
    limit_files(bytes);
    pl_status status = write_all(f, 2, 2);
    limit_files(RLIM_INFINITY);
    check_failed_write(f, status);
  }
  CHECK_OK(write_parts(f, 2, 2, records));
  limit_files(300); /* in the manifest */
  pl_status status = commit(f, 2, 2, records, config_text);
  limit_files(RLIM_INFINITY);
  check_failed_write(f, status);
  assert_int_equal(lowest_free_descriptor(), free_descriptor); /* none keeps lost files */

  CHECK_OK(commit(f, 2, 2, records, config_text)); /* what failed is not in the way */
  CHECK_OK(pl_checkpoint_open_newest(f->parent, &checkpoint));
  assert_int_equal(pl_checkpoint_step(checkpoint), 2);
  check_contents(checkpoint, f->space, 2);
  pl_checkpoint_close(&checkpoint);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(any_cut_reads_any_other),
      TEST(tensors_are_found_by_name),
      TEST(empty_slices_have_parts),
      TEST(parts_are_reproducible),
      TEST(a_step_written_again_replaces_the_first),
      TEST(damage_is_named),
      TEST(foreign_parts_are_refused),
      TEST(other_models_are_refused),
      TEST(missing_vectors_are_named),
      TEST(buffers_come_from_rank_0),
      TEST(newest_that_verifies_is_opened),
      TEST(full_disk_harms_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
