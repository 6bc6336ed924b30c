/* runtime/store/checkpoint: what is written by any cut is read by any other, the newest whole one
 * is found, and a full disk harms nothing. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/checkpoint_fixture.h"

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
    float *none = rank == 0 ? make_buffers(small, true) : NULL; /* no element, but not NULL */
    CHECK_OK(pl_checkpoint_write_part(temporary, small, s.slice, &s.vectors, none, &records[rank]));
    pl_free(none);
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
      TEST(newest_that_verifies_is_opened),
      TEST(full_disk_harms_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
