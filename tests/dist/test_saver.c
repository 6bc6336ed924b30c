/* launch/saver on real ranks: what stands on disk after a save, however it was driven; what is
 * kept; and that a failure on one rank becomes the same error on all. */
#include <sys/resource.h>
#include <unistd.h>

#include "tests/dist/saver_rig.h"

static void the_copy_is_saved(void **state) {
  rig r;
  make_rig(&r, *state);
  open_saver(&r);
  assert_true(isnan(pl_saver_best(r.saver)));
  assert_true(pl_saver_longest_ms(r.saver) == 0);
  CHECK_OK(pl_saver_finish(r.saver)); /* of nothing */
  for (int save = 0; save < 3; save++) {
    set_state(&r, 2 * save);
    CHECK_OK(start(&r, 10 + save, NAN));
    set_state(&r, 2 * save + 1);
    CHECK_OK(pl_saver_finish(r.saver));
    check_saved(&r, 10 + save, 2 * save);
  }
  assert_true(pl_saver_longest_ms(r.saver) > 0);
  free_rig(&r);
}

static int gets;

static pl_status counted_get(void *host, const void *device, size_t bytes) {
  gets++;
  memcpy(host, device, bytes);
  return PL_OK;
}

/* What lies on a device is copied once, whatever is then made of it. */
static void a_device_is_asked_once(void **state) {
  const pl_device device = {.name = "counting", .get = counted_get};
  rig r;
  make_rig(&r, *state);
  r.setup.device = &device;
  open_saver(&r);
  set_state(&r, 1);
  gets = 0;
  CHECK_OK(start(&r, 1, NAN));
  CHECK_OK(pl_saver_finish(r.saver));
  assert_int_equal(gets, SLICED);
  check_saved(&r, 1, 1);
  free_rig(&r);
}

static void steps_drive_a_save(void **state) {
  rig r;
  make_rig(&r, *state);
  open_saver(&r);
  bool is_new;
  assert_int_equal(pl_saver_outcome(r.saver, &is_new).step, -1);
  assert_false(is_new);
  set_state(&r, 1);
  CHECK_OK(start(&r, 7, 0.25));
  pl_save_outcome outcome;
  int steps = 0;
  do {
    CHECK_OK(step_end(&r));
    outcome = pl_saver_outcome(r.saver, &is_new);
    sleep_ms(1);
  } while (!is_new && ++steps < 10000);
  assert_true(is_new);
  check_saved(&r, 7, 1);
  assert_int_equal(outcome.step, 7);
  assert_true(outcome.bytes > pl_space_elements(r.space) * (int64_t)sizeof(float) * SLICED);
  assert_true(outcome.stall_ms > 0 && outcome.write_ms > 0);
  assert_true(pl_saver_best(r.saver) == 0.25);
  outcome = pl_saver_outcome(r.saver, &is_new);
  assert_int_equal(outcome.step, 7);
  assert_false(is_new);
  free_rig(&r);
}

static void a_save_waits_for_the_one_before(void **state) {
  rig r;
  make_rig(&r, *state);
  open_saver(&r);
  for (int save = 0; save < 4; save++) {
    set_state(&r, save);
    CHECK_OK(start(&r, save, NAN));
    if (save % 2 == 1) CHECK_OK(step_end(&r));
  }
  CHECK_OK(pl_saver_finish(r.saver));
  for (int save = 0; save < 4; save++) check_saved(&r, save, save);
  free_rig(&r);
}

/* Reports that say "written" of one save must not commit the next. */
static void old_reports_move_nothing(void **state) {
  rig r;
  make_rig(&r, *state);
  open_saver(&r);
  set_state(&r, 1);
  CHECK_OK(start(&r, 1, NAN));
  step_report *old = until_written(&r);
  set_state(&r, 2);
  CHECK_OK(start(&r, 2, NAN));
  CHECK_OK(pl_saver_advance(r.saver, &old->save, sizeof *old));
  pl_free(old);
  assert_false(exists(&r, 2));
  CHECK_OK(pl_saver_finish(r.saver));
  check_saved(&r, 1, 1);
  check_saved(&r, 2, 2);
  free_rig(&r);
}

/* Saves steps 1 to 6 with these values; which of them are left is told by `left`, a bit a step. */
static void check_kept(pl_comm *comm, bool smaller, const double *values, double best,
                       unsigned left) {
  rig r;
  make_rig(&r, comm);
  r.setup.keep = 2;
  r.setup.smaller_is_better = smaller;
  open_saver(&r);
  for (int64_t step = 1; step <= 6; step++) {
    set_state(&r, (int)step);
    CHECK_OK(start(&r, step, values[step - 1]));
    if (step == 3) {
      /* Another start of the program knows the best from what it finds. */
      CHECK_OK(pl_saver_finish(r.saver));
      double before = pl_saver_best(r.saver);
      pl_saver_destroy(&r.saver);
      open_saver(&r);
      assert_memory_equal(&(double){pl_saver_best(r.saver)}, &before, sizeof before);
    }
  }
  CHECK_OK(pl_saver_finish(r.saver));
  CHECK_OK(pl_comm_barrier(comm));
  for (int64_t step = 1; step <= 6; step++) {
    assert_int_equal(exists(&r, step), left >> step & 1);
    if (exists(&r, step)) check_saved(&r, step, (int)step);
  }
  assert_memory_equal(&(double){pl_saver_best(r.saver)}, &best, sizeof best);
  free_rig(&r);
}

static void the_newest_and_the_best_are_kept(void **state) {
  const double values[] = {0.2, 0.9, 0.5, NAN, 0.8, 0.3};
  check_kept(*state, false, values, 0.9, 1U << 2 | 1U << 5 | 1U << 6);
  check_kept(*state, true, values, 0.2, 1U << 1 | 1U << 5 | 1U << 6);
  const double none[] = {NAN, NAN, NAN, NAN, NAN, NAN};
  check_kept(*state, false, none, NAN, 1U << 5 | 1U << 6);
}

/* The error of a save that can't succeed, by way of finish or of step ends. */
static void check_failing(const rig *r, bool by_steps, const char *words) {
  pl_status status = PL_OK;
  for (int steps = 0; by_steps && status == PL_OK && steps < 10000; steps++) {
    status = step_end(r);
    sleep_ms(1);
  }
  if (!by_steps) status = pl_saver_finish(r->saver);
  CHECK_FAILS(PL_E_IO, words, status);
  CHECK_OK(pl_comm_agree_same(r->comm, "the message", pl_last_reason()->message,
                              strlen(pl_last_reason()->message)));
}

/* No room on the last rank alone. */
static void a_part_fails_on_one_rank(void **state) {
  rig r;
  make_rig(&r, *state);
  open_saver(&r);
  set_state(&r, 1);
  CHECK_OK(start(&r, 1, NAN));
  CHECK_OK(pl_saver_finish(r.saver));
  char words[32];
  snprintf(words, sizeof words, "part-%05d.h5", r.ranks - 1);
  struct rlimit before, little;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  for (int by_steps = 0; by_steps < 2; by_steps++) {
    little = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max};
    if (r.rank == r.ranks - 1) assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    set_state(&r, 2);
    CHECK_OK(start(&r, 2, NAN));
    check_failing(&r, by_steps, words);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    if (r.ranks > 1) {
      snprintf(words, sizeof words, "rank %d on ", r.ranks - 1);
      assert_non_null(strstr(pl_last_reason()->message, words));
    }
    assert_false(exists(&r, 2));
    check_saved(&r, 1, 1);
  }
  CHECK_OK(pl_saver_finish(r.saver)); /* the save was given up */
  set_state(&r, 3);
  CHECK_OK(start(&r, 2, NAN)); /* and there is room again */
  CHECK_OK(pl_saver_finish(r.saver));
  check_saved(&r, 2, 3);
  free_rig(&r);
}

/* A start after a save that failed tells of it. */
static void the_commit_fails(void **state) {
  rig r;
  make_rig(&r, *state);
  open_saver(&r);
  set_state(&r, 1);
  CHECK_OK(start(&r, 1, NAN));
  pl_free(until_written(&r));
  if (r.rank == 0) {
    char folder[PL_PATH_MAX], part[PL_PATH_MAX];
    CHECK_OK(pl_checkpoint_path(r.parent, 1, true, folder));
    CHECK_OK(pl_path_join(folder, "part-00000.h5", part));
    assert_int_equal(unlink(part), 0);
  }
  CHECK_FAILS(PL_E_IO, "part-00000.h5", start(&r, 2, NAN));
  assert_false(exists(&r, 1));
  free_rig(&r);
}

static void the_folder_is_lost(void **state) {
  rig r;
  make_rig(&r, *state);
  open_saver(&r);
  CHECK_OK(pl_comm_barrier(r.comm));
  if (r.rank == 0) {
    CHECK_OK(pl_remove_tree(r.parent));
    CHECK_OK(pl_write_file_durably(r.parent, "", 0));
  }
  CHECK_OK(pl_comm_barrier(r.comm));
  CHECK_OK(start(&r, 1, NAN));
  check_failing(&r, true, r.parent);
  pl_saver_destroy(&r.saver);
  CHECK_FAILS(PL_E_IO, r.parent, pl_saver_create(&r.setup, &r.saver));
  assert_null(r.saver);
  free_rig(&r);
}

static void an_unfinished_save_is_none(void **state) {
  rig r;
  make_rig(&r, *state);
  for (int written = 0; written < 2; written++) {
    open_saver(&r);
    CHECK_OK(start(&r, 1, NAN));
    if (written) pl_free(until_written(&r));
    pl_saver_destroy(&r.saver);
    assert_null(r.saver);
    pl_saver_destroy(&r.saver);
    CHECK_OK(pl_comm_barrier(r.comm));
    assert_false(exists(&r, 1));
  }
  open_saver(&r);
  char temporary[PL_PATH_MAX];
  CHECK_OK(pl_checkpoint_path(r.parent, 1, true, temporary));
  assert_false(pl_path_exists(temporary));
  free_rig(&r);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_copy_is_saved),
      cmocka_unit_test(a_device_is_asked_once),
      cmocka_unit_test(steps_drive_a_save),
      cmocka_unit_test(a_save_waits_for_the_one_before),
      cmocka_unit_test(old_reports_move_nothing),
      cmocka_unit_test(the_newest_and_the_best_are_kept),
      cmocka_unit_test(a_part_fails_on_one_rank),
      cmocka_unit_test(the_commit_fails),
      cmocka_unit_test(the_folder_is_lost),
      cmocka_unit_test(an_unfinished_save_is_none),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
