/* runtime/store/folder: which checkpoints there are, which are kept, and what an end in between
 * leaves behind. */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/checkpoint_fixture.h"

static bool stands(const fixture *f, const char *name) {
  char path[PL_PATH_MAX];
  CHECK_OK(pl_path_join(f->parent, name, path));
  return pl_path_exists(path);
}

static void make_folder(const fixture *f, const char *name) {
  char path[PL_PATH_MAX];
  CHECK_OK(pl_path_join(f->parent, name, path));
  CHECK_OK(pl_make_folders(path));
}

static void rename_in(const fixture *f, const char *from, const char *to) {
  char old[PL_PATH_MAX], new[PL_PATH_MAX];
  CHECK_OK(pl_path_join(f->parent, from, old));
  CHECK_OK(pl_path_join(f->parent, to, new));
  assert_int_equal(rename(old, new), 0);
}

/* The steps listed must be these, newest first. */
static void check_listed(const fixture *f, int count, const int64_t *steps) {
  pl_checkpoint_entry *entries;
  int listed;
  CHECK_OK(pl_checkpoint_list(f->parent, "knn", &entries, &listed));
  assert_int_equal(listed, count);
  for (int k = 0; k < count; k++) assert_int_equal(entries[k].step, steps[k]);
  pl_free(entries);
}

static void list_is_newest_first(void **state) {
  const fixture *f = *state;
  const char *strays[] = {"step-0000030", "step-00000400x", "step-99999999999999999999", "step-",
                          "step-00000500.tmp"};
  CHECK_OK(write_all(f, 2, 5));
  CHECK_OK(write_all(f, 2, 20));
  CHECK_OK(write_all(f, 1, 100000000)); /* nine digits sort by number */
  for (size_t k = 0; k < sizeof strays / sizeof *strays; k++) make_folder(f, strays[k]);
  assert_int_equal(truncate(path_of(f, 20, "manifest.yaml"), 100), 0);
  assert_int_equal(unlink(path_of(f, 5, "part-00000.h5")), 0); /* parts are not looked at */

  pl_checkpoint_entry *entries;
  int count;
  CHECK_OK(pl_checkpoint_list(f->parent, "knn", &entries, &count));
  assert_int_equal(count, 3);
  assert_int_equal(entries[0].step, 100000000);
  assert_true(entries[0].readable);
  assert_true(entries[0].value == 100000000.0 / 1024);
  assert_int_equal(entries[1].step, 20);
  assert_false(entries[1].readable);
  assert_true(isnan(entries[1].value));
  assert_true(entries[2].readable);
  pl_free(entries);
  CHECK_OK(pl_checkpoint_list(f->parent, "linear", &entries, &count));
  assert_int_equal(count, 3);
  assert_true(entries[0].readable);
  assert_true(isnan(entries[0].value)); /* it has the value of another metric */
  pl_free(entries);
}

static void a_missing_folder_holds_none(void **state) {
  const fixture *f = *state;
  char missing[PL_PATH_MAX], file[PL_PATH_MAX];
  pl_checkpoint_entry *entries;
  int count = -1;
  CHECK_OK(pl_path_join(f->parent, "none", missing));
  CHECK_OK(pl_checkpoint_list(missing, "", &entries, &count));
  assert_int_equal(count, 0);
  pl_free(entries);
  CHECK_OK(pl_checkpoint_prune(missing, 1, -1));
  CHECK_OK(pl_path_join(f->parent, "file", file));
  CHECK_OK(pl_write_file_durably(file, "x", 1));
  CHECK_FAILS(PL_E_IO, file, pl_checkpoint_list(file, "", &entries, &count));
  assert_int_equal(count, 0);
  assert_null(entries);
  CHECK_FAILS(PL_E_IO, file, pl_checkpoint_clean(file));
}

static void newest_and_best_are_kept(void **state) {
  const fixture *f = *state;
  for (int64_t step = 1; step <= 5; step++) CHECK_OK(write_all(f, 1, step));
  CHECK_OK(pl_checkpoint_prune(f->parent, 3, 1));
  check_listed(f, 4, (const int64_t[]){5, 4, 3, 1});
  CHECK_OK(pl_checkpoint_prune(f->parent, 2, 4)); /* the best is one of the newest */
  check_listed(f, 2, (const int64_t[]){5, 4});
  CHECK_OK(pl_checkpoint_prune(f->parent, 1, -1));
  check_listed(f, 1, (const int64_t[]){5});
  assert_false(stands(f, "step-00000004.removed.tmp"));
  check_whole(f, 5, 1);
}

/* A removal that ended early, under the name that it gave: it is finished, and not in the way. */
static void an_interrupted_prune_is_finished(void **state) {
  const fixture *f = *state;
  for (int64_t step = 1; step <= 3; step++) CHECK_OK(write_all(f, 2, step));
  assert_int_equal(unlink(path_of(f, 1, "part-00000.h5")), 0);
  rename_in(f, "step-00000001", "step-00000001.removed.tmp");
  check_listed(f, 2, (const int64_t[]){3, 2});
  CHECK_OK(write_all(f, 2, 1));
  CHECK_OK(pl_checkpoint_prune(f->parent, 2, -1));
  check_listed(f, 2, (const int64_t[]){3, 2});
  assert_false(stands(f, "step-00000001.removed.tmp"));

  rename_in(f, "step-00000002", "step-00000002.removed.tmp");
  CHECK_OK(pl_checkpoint_clean(f->parent));
  assert_false(stands(f, "step-00000002.removed.tmp"));
  check_listed(f, 1, (const int64_t[]){3});
}

/* Killed anywhere while removing, a process leaves whole checkpoints and temporary names. */
static void a_killed_prune_leaves_whole_checkpoints(void **state) {
  const fixture *f = *state;
  for (int round = 0; round < 8; round++) {
    for (int64_t step = 1; step <= 4; step++) CHECK_OK(write_all(f, 3, step));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(pl_checkpoint_prune(f->parent, 1, -1) == PL_OK ? 0 : 1);
    usleep((useconds_t)(round * 400));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    pl_checkpoint_entry *entries;
    int count;
    CHECK_OK(pl_checkpoint_list(f->parent, "knn", &entries, &count));
    assert_true(count >= 1 && entries[0].step == 4);
    for (int k = 0; k < count; k++) check_whole(f, entries[k].step, 1);
    pl_free(entries);
    CHECK_OK(pl_checkpoint_clean(f->parent));
  }
}

static void a_step_written_again_replaces_the_first(void **state) {
  const fixture *f = *state;
  CHECK_OK(write_all(f, 3, 1));
  CHECK_OK(write_all(f, 2, 1));
  check_whole(f, 1, 1);
  assert_false(pl_path_exists(path_of(f, 1, "part-00002.h5")));
  assert_false(stands(f, "step-00000001.replaced.tmp"));
  assert_false(stands(f, "step-00000001.tmp"));
}

/* Between the two renames of a replacement neither checkpoint has its name: the old one gets it
 * back. */
static void a_replacement_that_ended_early_is_undone(void **state) {
  const fixture *f = *state;
  pl_checkpoint_part_record records[2];
  CHECK_OK(write_all(f, 3, 1));
  CHECK_OK(write_parts(f, 2, 1, records));
  rename_in(f, "step-00000001", "step-00000001.replaced.tmp");
  CHECK_OK(pl_checkpoint_clean(f->parent));
  check_whole(f, 1, 2);
  assert_true(pl_path_exists(path_of(f, 1, "part-00002.h5")));
  assert_false(stands(f, "step-00000001.tmp"));

  CHECK_OK(write_all(f, 2, 2)); /* where the new one stands, the old one goes */
  make_folder(f, "step-00000002.replaced.tmp");
  CHECK_OK(pl_checkpoint_clean(f->parent));
  check_whole(f, 2, 1);
  assert_false(stands(f, "step-00000002.replaced.tmp"));
}

static void clean_leaves_what_is_not_its_own(void **state) {
  const fixture *f = *state;
  fixture inner = *f; /* a folder that is not there yet */
  snprintf(inner.parent, sizeof inner.parent, "%.64s/a/b", f->parent);
  CHECK_OK(pl_checkpoint_clean(inner.parent));
  make_folder(&inner, "notes.tmp");
  make_folder(&inner, "step-00000009.tmp");
  CHECK_OK(write_all(&inner, 1, 1));
  CHECK_OK(pl_checkpoint_clean(inner.parent));
  assert_true(stands(&inner, "notes.tmp"));
  assert_false(stands(&inner, "step-00000009.tmp"));
  check_whole(&inner, 1, 1);
}

/* Several ranks come to create the folder at once. */
static void ranks_may_race_for_the_folder(void **state) {
  const fixture *f = *state;
  enum { RANKS = 4 };
  pl_checkpoint_part_record records[RANKS];
  for (int64_t step = 1; step <= 4; step++) {
    pid_t child[RANKS];
    for (int rank = 1; rank < RANKS; rank++) {
      share s = make_share(f->space, RANKS, rank, true);
      child[rank] = fork();
      assert_true(child[rank] >= 0);
      if (child[rank] == 0) {
        _exit(pl_checkpoint_write_part(f->parent, step, s.slice, &s.vectors, NULL, 0,
                                       &records[rank]) == PL_OK
                  ? 0
                  : 1);
      }
      free_share(&s);
    }
    for (int rank = 1; rank < RANKS; rank++) {
      int how = 0;
      assert_int_equal(waitpid(child[rank], &how, 0), child[rank]);
      assert_int_equal(how, 0);
    }
    CHECK_OK(write_all(f, RANKS, step)); /* the same bytes, and now with records */
    check_whole(f, step, 1);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(list_is_newest_first),
      TEST(a_missing_folder_holds_none),
      TEST(newest_and_best_are_kept),
      TEST(an_interrupted_prune_is_finished),
      TEST(a_killed_prune_leaves_whole_checkpoints),
      TEST(a_step_written_again_replaces_the_first),
      TEST(a_replacement_that_ended_early_is_undone),
      TEST(clean_leaves_what_is_not_its_own),
      TEST(ranks_may_race_for_the_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
