/* launch/saver on real ranks: what stands on disk after a save, however it was driven; what is
 * kept; and that a failure on one rank becomes the same error on all. */
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "launch/saver.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "tests/dist/ranks.h"

enum { SLICED = 2, REPLICATED = 2, SHARDS = 2 };

/* A state on this rank and a folder that all ranks share. */
typedef struct rig {
  pl_comm *comm;
  int rank, ranks;
  char parent[PL_PATH_MAX];
  pl_space *space;
  pl_slice *slice;
  pl_saver_setup setup;
  pl_saver *saver;
} rig;

/* Element `index` of vector `vector` in the state of one version; all of them differ. */
static float element(int version, int vector, int64_t index) {
  return (float)(version * 16 + vector) + (float)index / 1048576;
}

static pl_space *make_space(void) {
  static const struct {
    const char *name;
    int64_t count;
  } params[] = {{"a", 9000}, {"b", 60}, {"c", 70000}, {"d", 1024}};
  pl_space *space;
  int index;
  CHECK_OK(pl_space_create(&space));
  for (int p = 0; p < 4; p++) {
    CHECK_OK(pl_space_add(space, params[p].name, PL_PARAM_WEIGHT, 1, &params[p].count,
                          (pl_init){.kind = PL_INIT_CONSTANT}, &index));
  }
  CHECK_OK(pl_space_add_buffer(space, "mean", 100, 0, &index));
  CHECK_OK(pl_space_seal(space, PL_F32, sizeof(float) * PL_BLOCK * 4));
  return space;
}

static pl_checkpoint_vectors make_vectors(int count, const char *const *names, size_t floats) {
  pl_checkpoint_vectors vectors = {.count = count};
  for (int v = 0; v < count; v++) {
    vectors.name[v] = names[v];
    vectors.values[v] = pl_alloc(floats, sizeof(float));
    assert_non_null(vectors.values[v]);
  }
  return vectors;
}

static void free_vectors(pl_checkpoint_vectors *vectors) {
  for (int v = 0; v < vectors->count; v++) pl_free(vectors->values[v]);
}

/* Vectors as checkpoints hold them: padding of the last block of a tensor is zero. */
static void make_state(const rig *r, pl_checkpoint_vectors *sliced,
                       pl_checkpoint_vectors *replicated) {
  static const char *const sliced_names[] = {"params", "momentum"};
  static const char *const replicated_names[] = {"buffers", "average"};
  *sliced = make_vectors(SLICED, sliced_names, (size_t)r->slice->blocks * PL_BLOCK);
  *replicated =
      make_vectors(REPLICATED, replicated_names, (size_t)pl_space_buffer_elements(r->space));
}

static void fill(const rig *r, const pl_checkpoint_vectors *sliced,
                 const pl_checkpoint_vectors *replicated, int version) {
  for (int v = 0; v < SLICED; v++) {
    for (int64_t b = 0; b < r->slice->blocks; b++) {
      int64_t block = r->slice->block[b];
      const pl_param *param = pl_space_param(r->space, pl_space_block_param(r->space, block));
      int64_t used = param->count - (block - param->first_block) * PL_BLOCK;
      for (int64_t i = 0; i < PL_BLOCK && i < used; i++) {
        sliced->values[v][b * PL_BLOCK + i] = element(version, v, block * PL_BLOCK + i);
      }
    }
  }
  for (int v = 0; v < REPLICATED; v++) {
    for (int64_t i = 0; i < pl_space_buffer_elements(r->space); i++) {
      replicated->values[v][i] = element(version, SLICED + v, i);
    }
  }
}

static void set_state(const rig *r, int version) {
  fill(r, &r->setup.vectors, &r->setup.replicated, version);
}

static void open_saver(rig *r) { CHECK_OK(pl_saver_create(&r->setup, &r->saver)); }

static void make_rig(rig *r, pl_comm *comm) {
  *r = (rig){.comm = comm, .rank = pl_comm_rank(comm), .ranks = pl_comm_size(comm)};
  if (r->rank == 0) {
    strcpy(r->parent, "/tmp/plenum-saver-XXXXXX");
    assert_non_null(mkdtemp(r->parent));
    strcat(r->parent, "/checkpoints");
  }
  CHECK_OK(pl_comm_broadcast(comm, r->parent, sizeof r->parent, 0));
  r->space = make_space();
  CHECK_OK(pl_slice_create(r->space, r->ranks, r->rank, &r->slice));
  r->setup = (pl_saver_setup){.comm = comm,
                              .space = r->space,
                              .slice = r->slice,
                              .parent = r->parent,
                              .keep = 10,
                              .metric = "knn"};
  make_state(r, &r->setup.vectors, &r->setup.replicated);
}

static void free_rig(rig *r) {
  pl_saver_destroy(&r->saver);
  CHECK_OK(pl_comm_barrier(r->comm));
  if (r->rank == 0) {
    *strrchr(r->parent, '/') = '\0';
    CHECK_OK(pl_remove_tree(r->parent));
  }
  free_vectors(&r->setup.vectors);
  free_vectors(&r->setup.replicated);
  pl_slice_destroy(&r->slice);
  pl_space_destroy(&r->space);
}

/* Starts a save whose texts are gone at the return. */
static pl_status start(const rig *r, int64_t step, double value) {
  char texts[][40] = {"0123456789abcdef0123456789abcdef",
                      "knn",
                      "run: {seed: 1}\n",
                      "0.1.0 test",
                      "part-00000.h5",
                      "part-00001.h5"};
  pl_checkpoint_shard shards[SHARDS] = {{texts[4], 10, 2, 1}, {texts[5], 20 + step, 4, 3}};
  pl_checkpoint_manifest about = {.step = step,
                                  .position = step * 512,
                                  .passed_over = 3,
                                  .dataset = texts[0],
                                  .shards = SHARDS,
                                  .shard = shards,
                                  .metric = isnan(value) ? "" : texts[1],
                                  .value = value,
                                  .config_yaml = texts[2],
                                  .build = texts[3],
                                  .state_hash = "fedcba9876543210fedcba9876543210"};
  pl_status status = pl_saver_start(r->saver, &about);
  memset(texts, 'x', sizeof texts);
  memset(shards, 0, sizeof shards);
  return status;
}

static bool exists(const rig *r, int64_t step) {
  char folder[PL_PATH_MAX];
  CHECK_OK(pl_checkpoint_path(r->parent, step, false, folder));
  return pl_path_exists(folder);
}

static void check_about(const pl_checkpoint_manifest *about, const rig *r, int64_t step) {
  assert_int_equal(about->step, step);
  assert_int_equal(about->position, step * 512);
  assert_int_equal(about->passed_over, 3);
  assert_int_equal(about->parts, r->ranks);
  assert_string_equal(about->dataset, "0123456789abcdef0123456789abcdef");
  assert_string_equal(about->config_yaml, "run: {seed: 1}\n");
  assert_string_equal(about->build, "0.1.0 test");
  assert_int_equal(about->shards, SHARDS);
  assert_string_equal(about->shard[0].name, "part-00000.h5");
  assert_string_equal(about->shard[1].name, "part-00001.h5");
  assert_int_equal(about->shard[1].seen, 20 + step);
}

/* The checkpoint of `step` is whole and holds the state of `version`, on every rank. */
static void check_saved(const rig *r, int64_t step, int version) {
  char folder[PL_PATH_MAX];
  pl_checkpoint *checkpoint;
  CHECK_OK(pl_checkpoint_path(r->parent, step, false, folder));
  CHECK_OK(pl_checkpoint_open(folder, &checkpoint));
  CHECK_OK(pl_checkpoint_verify(checkpoint, 0, 1));
  check_about(pl_checkpoint_get_manifest(checkpoint), r, step);
  pl_checkpoint_vectors expected[2], got[2];
  make_state(r, &expected[0], &expected[1]);
  make_state(r, &got[0], &got[1]);
  fill(r, &expected[0], &expected[1], version);
  CHECK_OK(pl_checkpoint_read(checkpoint, r->space, r->slice, &got[0], &got[1]));
  size_t bytes[] = {(size_t)r->slice->blocks * PL_BLOCK * sizeof(float),
                    (size_t)pl_space_buffer_elements(r->space) * sizeof(float)};
  for (int kind = 0; kind < 2; kind++) {
    for (int v = 0; v < got[kind].count; v++) {
      assert_memory_equal(got[kind].values[v], expected[kind].values[v], bytes[kind]);
    }
    free_vectors(&got[kind]);
    free_vectors(&expected[kind]);
  }
  pl_checkpoint_close(&checkpoint);
}

static void sleep_ms(long ms) {
  struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

/* What a trainer's ranks tell each other: the save is only a part of it. */
typedef struct step_report {
  double other[3];
  pl_save_report save;
  int32_t more;
} step_report;

static step_report *exchange(const rig *r) {
  step_report mine;
  memset(&mine, 0xA5, sizeof mine);
  step_report *all = pl_alloc((size_t)r->ranks, sizeof *all);
  assert_non_null(all);
  pl_saver_report(r->saver, &mine.save);
  CHECK_OK(pl_comm_allgather_equal(r->comm, &mine, all, sizeof mine));
  return all;
}

/* The end of a step. */
static pl_status step_end(const rig *r) {
  step_report *all = exchange(r);
  pl_status status = pl_saver_advance(r->saver, &all->save, sizeof *all);
  pl_free(all);
  return status;
}

/* Waits until every part is on disk, without moving the save on; the reports that say so. */
static step_report *until_written(const rig *r) {
  for (int tries = 0; tries < 10000; tries++) {
    step_report *all = exchange(r);
    int written = 0;
    for (int k = 0; k < r->ranks; k++) written += all[k].save.phase == PL_SAVE_WRITTEN;
    if (written == r->ranks) return all;
    pl_free(all);
    sleep_ms(1);
  }
  fail_msg("the parts are not written");
  return NULL;
}

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
