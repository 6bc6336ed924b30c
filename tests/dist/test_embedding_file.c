/* The file of representations, filled by all ranks: read back with HDF5, compared with what one
 * rank makes, and whole or absent whatever fails. */
#include <hdf5.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "launch/judge/embedding_file.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "tests/dist/ranks.h"

enum { SAMPLES = 3001, WIDTH = 7 };

static const pl_embeddings_facts facts = {.samples = SAMPLES,
                                          .width = WIDTH,
                                          .step = 1234567890123,
                                          .dataset = "0123456789abcdef0123456789abcdef",
                                          .state = "fedcba9876543210fedcba9876543210",
                                          .weights = "trained",
                                          .build = "0.1.0 abc"};

static float value_at(int64_t row, int column) { return (float)(row * WIDTH + column) / 7 - 100; }
static int64_t id_at(int64_t row) { return (int64_t)5000000000 + 3 * row; }
static int32_t label_at(int64_t row) { return (int32_t)(row % 11) - 1; }

typedef struct content {
  float values[SAMPLES * WIDTH];
  int64_t ids[SAMPLES];
  int32_t labels[SAMPLES];
} content;

/* Part `part` of `parts`; of three and more the last gets nothing. */
static pl_embedding_rows fill(content *c, int part, int parts) {
  int busy = parts > 2 ? parts - 1 : parts;
  int64_t first = part < busy ? (int64_t)SAMPLES * part / busy : SAMPLES;
  int64_t end = part < busy ? (int64_t)SAMPLES * (part + 1) / busy : SAMPLES;
  for (int64_t row = first; row < end; row++) {
    for (int j = 0; j < WIDTH; j++) c->values[(row - first) * WIDTH + j] = value_at(row, j);
    c->ids[row - first] = id_at(row);
    c->labels[row - first] = label_at(row);
  }
  return (pl_embedding_rows){first, end - first, c->values, c->ids, c->labels};
}

typedef struct scratch {
  char folder[PL_PATH_MAX], path[PL_PATH_MAX], temporary[PL_PATH_MAX];
} scratch;

static scratch make_scratch(pl_comm *comm) {
  scratch s = {.folder = "/tmp/plenum-embedding-XXXXXX"};
  if (pl_comm_rank(comm) == 0) assert_non_null(mkdtemp(s.folder));
  CHECK_OK(pl_comm_broadcast(comm, s.folder, sizeof s.folder, 0));
  CHECK_OK(pl_path_join(s.folder, "out.h5", s.path));
  CHECK_OK(pl_path_join(s.folder, "out.h5.tmp", s.temporary));
  return s;
}

static void remove_scratch(pl_comm *comm, const scratch *s) {
  CHECK_OK(pl_comm_barrier(comm));
  if (pl_comm_rank(comm) == 0) CHECK_OK(pl_remove_tree(s->folder));
}

static void make_file(pl_comm *comm, const char *path, bool overwrite) {
  pl_embedding_file *file = NULL;
  content *c = pl_alloc(1, sizeof *c);
  assert_non_null(c);
  CHECK_OK(pl_embedding_file_create(comm, path, overwrite, &facts, &file));
  pl_embedding_rows rows = fill(c, pl_comm_rank(comm), pl_comm_size(comm));
  CHECK_OK(pl_embedding_file_finish(file, &rows));
  pl_embedding_file_destroy(&file);
  assert_null(file);
  pl_free(c);
}

/* As a reader would that knows only what the header tells. */
static void read_array(hid_t file, const char *name, hid_t type, hid_t stored, int dimensions,
                       void *into) {
  hsize_t dims[2] = {0};
  hid_t array = H5Dopen2(file, name, H5P_DEFAULT);
  assert_true(array >= 0);
  hid_t space = H5Dget_space(array);
  hid_t found = H5Dget_type(array);
  hid_t properties = H5Dget_create_plist(array);
  assert_true(H5Tequal(found, stored) > 0);
  assert_int_equal(H5Pget_layout(properties), H5D_CONTIGUOUS);
  assert_int_equal(H5Sget_simple_extent_dims(space, dims, NULL), dimensions);
  assert_int_equal(dims[0], SAMPLES);
  if (dimensions == 2) assert_int_equal(dims[1], WIDTH);
  assert_true(H5Dread(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, into) >= 0);
  H5Pclose(properties);
  H5Tclose(found);
  H5Sclose(space);
  H5Dclose(array);
}

static void check_text(hid_t file, const char *name, const char *expected) {
  char text[128] = "";
  hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
  assert_true(attribute >= 0);
  hid_t type = H5Aget_type(attribute);
  assert_int_equal(H5Tget_size(type), strlen(expected) + 1);
  assert_true(H5Aread(attribute, type, text) >= 0);
  assert_string_equal(text, expected);
  H5Tclose(type);
  H5Aclose(attribute);
}

static void check_content(const char *path) {
  content *c = pl_alloc(1, sizeof *c);
  int64_t step = 0;
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
  assert_non_null(c);
  assert_true(file >= 0);
  read_array(file, "/embedding", H5T_NATIVE_FLOAT, H5T_IEEE_F32LE, 2, c->values);
  read_array(file, "/id", H5T_NATIVE_INT64, H5T_STD_I64LE, 1, c->ids);
  read_array(file, "/label", H5T_NATIVE_INT32, H5T_STD_I32LE, 1, c->labels);
  for (int64_t row = 0; row < SAMPLES; row++) {
    for (int j = 0; j < WIDTH; j++) {
      assert_true(c->values[row * WIDTH + j] == value_at(row, j));
    }
    assert_int_equal(c->ids[row], id_at(row));
    assert_int_equal(c->labels[row], label_at(row));
  }
  check_text(file, "dataset", facts.dataset);
  check_text(file, "state", facts.state);
  check_text(file, "weights", facts.weights);
  check_text(file, "build", facts.build);
  hid_t attribute = H5Aopen(file, "step", H5P_DEFAULT);
  assert_true(H5Aread(attribute, H5T_NATIVE_INT64, &step) >= 0);
  assert_int_equal(step, facts.step);
  H5Aclose(attribute);
  H5Fclose(file);
  pl_free(c);
}

static void check_same_bytes(const char *path, const char *other) {
  char *text = NULL;
  char *others = NULL;
  size_t size = 0;
  size_t others_size = 0;
  CHECK_OK(pl_read_file(path, 1 << 24, &text, &size));
  CHECK_OK(pl_read_file(other, 1 << 24, &others, &others_size));
  assert_int_equal(size, others_size);
  assert_memory_equal(text, others, size);
  pl_free(text);
  pl_free(others);
}

static void rows_of_all_ranks_come_back(void **state) {
  pl_comm *comm = *state;
  scratch s = make_scratch(comm);
  make_file(comm, s.path, false);
  if (pl_comm_rank(comm) == 0) {
    char alone[PL_PATH_MAX];
    pl_comm *self = NULL;
    check_content(s.path);
    CHECK_OK(pl_path_join(s.folder, "alone.h5", alone));
    CHECK_OK(pl_comm_create_self(&self));
    make_file(self, alone, false);
    pl_comm_destroy(&self);
    check_same_bytes(s.path, alone);
    assert_false(pl_path_exists(s.temporary));
  }
  remove_scratch(comm, &s);
}

/* Fails alike on all ranks, and leaves no temporary file. */
static void check_refused(pl_comm *comm, const scratch *s, const char *path, pl_status code,
                          const char *words) {
  pl_embedding_file *file = NULL;
  CHECK_FAILS(code, words, pl_embedding_file_create(comm, path, false, &facts, &file));
  assert_null(file);
  assert_false(pl_path_exists(s->temporary));
}

static void what_is_there_stays_unless_said_otherwise(void **state) {
  pl_comm *comm = *state;
  scratch s = make_scratch(comm);
  char nowhere[PL_PATH_MAX];
  char *text = NULL;
  CHECK_OK(pl_path_join(s.folder, "nowhere/out.h5", nowhere));
  check_refused(comm, &s, nowhere, PL_E_IO, "nowhere");
  check_refused(comm, &s, s.folder, PL_E_USAGE, "is a folder");
  check_refused(comm, &s, "", PL_E_USAGE, "empty");
  if (pl_comm_rank(comm) == 0) CHECK_OK(pl_write_file_durably(s.path, "mine", 4));
  CHECK_OK(pl_comm_barrier(comm));
  check_refused(comm, &s, s.path, PL_E_USAGE, "--overwrite");

  /* given up on the way */
  pl_embedding_file *file = NULL;
  CHECK_OK(pl_embedding_file_create(comm, s.path, true, &facts, &file));
  assert_true(pl_path_exists(s.temporary));
  CHECK_OK(pl_comm_barrier(comm));
  pl_embedding_file_destroy(&file);
  CHECK_OK(pl_comm_barrier(comm));
  assert_false(pl_path_exists(s.temporary));
  CHECK_OK(pl_read_file(s.path, 16, &text, NULL));
  assert_string_equal(text, "mine");
  pl_free(text);
  CHECK_OK(pl_comm_barrier(comm));

  make_file(comm, s.path, true);
  if (pl_comm_rank(comm) == 0) check_content(s.path);
  remove_scratch(comm, &s);
}

/* A limit on the size of files stands for a full disk. */
static void limit_files(rlim_t bytes) {
  static struct rlimit kept;
  struct rlimit limit;
  if (bytes != RLIM_INFINITY) {
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &kept), 0);
    limit = (struct rlimit){.rlim_cur = bytes, .rlim_max = kept.rlim_max};
  } else {
    limit = kept;
  }
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_leaves_nothing(void **state) {
  pl_comm *comm = *state;
  scratch s = make_scratch(comm);
  int rank = pl_comm_rank(comm);
  pl_embedding_file *file = NULL;
  content *c = pl_alloc(1, sizeof *c);
  assert_non_null(c);
  /* full before the file has its place, then before it is laid out */
  const rlim_t limits[] = {64 * 1024, 100};
  for (int i = 0; i < 2; i++) {
    if (rank == 0) limit_files(limits[i]);
    pl_status status = pl_embedding_file_create(comm, s.path, false, &facts, &file);
    if (rank == 0) limit_files(RLIM_INFINITY);
    CHECK_FAILS(PL_E_IO, s.temporary, status);
    assert_null(file);
    assert_false(pl_path_exists(s.temporary));
  }
  /* full for one rank that has rows */
  int one = pl_comm_size(comm) > 2 ? pl_comm_size(comm) - 2 : pl_comm_size(comm) - 1;
  CHECK_OK(pl_embedding_file_create(comm, s.path, false, &facts, &file));
  pl_embedding_rows rows = fill(c, rank, pl_comm_size(comm));
  if (rank == one) limit_files(4096);
  pl_status status = pl_embedding_file_finish(file, &rows);
  if (rank == one) limit_files(RLIM_INFINITY);
  CHECK_FAILS(PL_E_IO, "cannot write", status);
  pl_embedding_file_destroy(&file);
  CHECK_OK(pl_comm_barrier(comm));
  assert_false(pl_path_exists(s.temporary));
  assert_false(pl_path_exists(s.path));
  /* and the next attempt goes well */
  make_file(comm, s.path, false);
  if (rank == 0) check_content(s.path);
  pl_free(c);
  remove_scratch(comm, &s);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_of_all_ranks_come_back),
      cmocka_unit_test(what_is_there_stays_unless_said_otherwise),
      cmocka_unit_test(a_full_disk_leaves_nothing),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
