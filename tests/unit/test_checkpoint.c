/* runtime/store/checkpoint: what is written by any cut is read by any other, and a full disk harms
 * nothing. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/checkpoint_fixture.h"

static void check_manifest(const pl_checkpoint *checkpoint, int ranks, int64_t step) {
  const pl_checkpoint_manifest *m = pl_checkpoint_get_manifest(checkpoint);
  assert_int_equal(m->step, step);
  assert_int_equal(m->position, step * 512);
  assert_int_equal(m->passed_over, 3);
  assert_string_equal(m->dataset, "fedcba9876543210fedcba9876543210");
  assert_int_equal(m->shards, 2);
  for (int k = 0; k < 2; k++) {
    assert_string_equal(m->shard[k].name, ledger[k].name);
    assert_int_equal(m->shard[k].seen, ledger[k].seen);
    assert_int_equal(m->shard[k].repeated, ledger[k].repeated);
    assert_int_equal(m->shard[k].skipped, ledger[k].skipped);
  }
  assert_string_equal(m->metric, "knn");
  assert_true(m->value == (double)step / 1024);
  assert_int_equal(m->parts, ranks);
  assert_string_equal(m->config_yaml, config_text);
  assert_string_equal(m->build, "0.1.0 \"test\"");
  assert_string_equal(m->state_hash, "0123456789abcdef0123456789abcdef");
}

static void any_cut_reads_any_other(void **state) {
  const fixture *f = *state;
  const int cuts[][2] = {{1, 1}, {4, 2}, {2, 3}, {7, 1}, {3, 7}};
  for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
    int64_t step = 100 + (int64_t)k;
    CHECK_OK(write_all(f, cuts[k][0], step));
    pl_checkpoint *checkpoint;
    CHECK_OK(open_step(f, step, &checkpoint));
    CHECK_OK(pl_checkpoint_verify(checkpoint, 0, 1));
    check_manifest(checkpoint, cuts[k][0], step);
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
  pl_checkpoint_vectors buffers = make_buffers(small, true); /* no elements */
  for (int rank = 0; rank < 3; rank++) {
    share s = make_share(small, 3, rank, true);
    CHECK_OK(pl_checkpoint_write_part(f->parent, 1, s.slice, &s.vectors,
                                      rank == 0 ? &buffers : NULL, 0, &records[rank]));
    free_share(&s);
  }
  CHECK_OK(commit(&g, 3, 1, records, "x"));
  pl_checkpoint *checkpoint;
  CHECK_OK(open_step(f, 1, &checkpoint));
  share s = make_share(small, 1, 0, false);
  CHECK_OK(pl_checkpoint_read(checkpoint, small, s.slice, &s.vectors, &buffers));
  assert_true(s.vectors.values[1][15] == element("stem.gain", 1, 15));
  free_buffers(&buffers);
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

static void names_and_shapes_are_told(void **state) {
  const fixture *f = *state;
  pl_checkpoint *checkpoint;
  pl_checkpoint_tensor t;
  CHECK_OK(write_all(f, 2, 1));
  CHECK_OK(open_step(f, 1, &checkpoint));
  for (int k = 0; k < TENSORS; k++) {
    assert_true(pl_checkpoint_get_tensor(checkpoint, k, &t));
    assert_string_equal(t.name, tensors[k].name);
    assert_int_equal(t.dims, tensors[k].dims);
    assert_memory_equal(t.dim, tensors[k].dim, (size_t)t.dims * sizeof *t.dim);
  }
  assert_string_equal(t.kind, "bias");
  assert_true(pl_checkpoint_get_tensor(checkpoint, TENSORS + 1, &t));
  assert_string_equal(t.name, "stem.var");
  assert_string_equal(t.kind, "buffer");
  assert_int_equal(t.dims, 1);
  assert_int_equal(t.dim[0], 16);
  assert_false(pl_checkpoint_get_tensor(checkpoint, TENSORS + 2, &t));

  const pl_checkpoint_vectors *sliced = pl_checkpoint_sliced(checkpoint);
  const pl_checkpoint_vectors *replicated = pl_checkpoint_replicated(checkpoint);
  assert_int_equal(sliced->count, 2);
  assert_string_equal(sliced->name[1], "momentum");
  assert_null(sliced->values[1]);
  assert_int_equal(replicated->count, 2);
  assert_string_equal(replicated->name[1], "average_buffers");
  pl_checkpoint_close(&checkpoint);
}

static void ranks_share_the_verification(void **state) {
  const fixture *f = *state;
  pl_checkpoint *checkpoint;
  CHECK_OK(write_all(f, 7, 1));
  CHECK_OK(open_step(f, 1, &checkpoint));
  for (int rank = 0; rank < 10; rank++) CHECK_OK(pl_checkpoint_verify(checkpoint, rank, 10));
  flip_bit(path_of(f, 1, "part-00005.h5"), 1);
  CHECK_OK(pl_checkpoint_verify(checkpoint, 0, 3));
  CHECK_OK(pl_checkpoint_verify(checkpoint, 1, 3));
  CHECK_FAILS(PL_E_DATA, "part-00005.h5", pl_checkpoint_verify(checkpoint, 2, 3));
  pl_checkpoint_close(&checkpoint);
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
  check_whole(f, 1, 1);
  CHECK_FAILS(PL_E_DATA, "step-00000002", open_step(f, 2, &checkpoint));
}

static void full_disk_harms_nothing(void **state) {
  const fixture *f = *state;
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
  check_whole(f, 2, 2);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(any_cut_reads_any_other),   TEST(tensors_are_found_by_name),
      TEST(empty_slices_have_parts),   TEST(parts_are_reproducible),
      TEST(names_and_shapes_are_told), TEST(ranks_share_the_verification),
      TEST(full_disk_harms_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
