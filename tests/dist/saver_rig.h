/* A saver over a small state, on every rank, and what its checkpoints must hold. */
#ifndef TESTS_DIST_SAVER_RIG_H
#define TESTS_DIST_SAVER_RIG_H

#include <string.h>
#include <time.h>

#include "launch/train/saver.h"
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
static inline float element(int version, int vector, int64_t index) {
  return (float)(version * 16 + vector) + (float)index / 1048576;
}

static inline pl_space *make_space(void) {
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

static inline pl_checkpoint_vectors make_vectors(int count, const char *const *names,
                                                 size_t floats) {
  pl_checkpoint_vectors vectors = {.count = count};
  for (int v = 0; v < count; v++) {
    vectors.name[v] = names[v];
    vectors.values[v] = pl_alloc(floats, sizeof(float));
    assert_non_null(vectors.values[v]);
  }
  return vectors;
}

static inline void free_vectors(pl_checkpoint_vectors *vectors) {
  for (int v = 0; v < vectors->count; v++) pl_free(vectors->values[v]);
}

/* Vectors as checkpoints hold them: padding of the last block of a tensor is zero. */
static inline void make_state(const rig *r, pl_checkpoint_vectors *sliced,
                              pl_checkpoint_vectors *replicated) {
  static const char *const sliced_names[] = {"params", "momentum"};
  static const char *const replicated_names[] = {"buffers", "average"};
  *sliced = make_vectors(SLICED, sliced_names, (size_t)r->slice->blocks * PL_BLOCK);
  *replicated =
      make_vectors(REPLICATED, replicated_names, (size_t)pl_space_buffer_elements(r->space));
}

static inline void fill(const rig *r, const pl_checkpoint_vectors *sliced,
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

static inline void set_state(const rig *r, int version) {
  fill(r, &r->setup.vectors, &r->setup.replicated, version);
}

static inline void open_saver(rig *r) { CHECK_OK(pl_saver_create(&r->setup, &r->saver)); }

static inline void make_rig(rig *r, pl_comm *comm) {
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
                              .device = &pl_host_device,
                              .parent = r->parent,
                              .keep = 10,
                              .metric = "knn"};
  make_state(r, &r->setup.vectors, &r->setup.replicated);
}

static inline void free_rig(rig *r) {
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
static inline pl_status start(const rig *r, int64_t step, double value) {
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
  const pl_checkpoint_vectors *copy;
  pl_status status = pl_saver_take(r->saver, &copy);
  if (status == PL_OK) {
    for (int v = 0; v < SLICED; v++)
      assert_memory_equal(copy->values[v], r->setup.vectors.values[v],
                          (size_t)r->slice->blocks * PL_BLOCK * sizeof(float));
    pl_saver_start(r->saver, &about);
  }
  memset(texts, 'x', sizeof texts);
  memset(shards, 0, sizeof shards);
  return status;
}

static inline bool exists(const rig *r, int64_t step) {
  char folder[PL_PATH_MAX];
  CHECK_OK(pl_checkpoint_path(r->parent, step, false, folder));
  return pl_path_exists(folder);
}

static inline void check_about(const pl_checkpoint_manifest *about, const rig *r, int64_t step) {
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
static inline void check_saved(const rig *r, int64_t step, int version) {
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

static inline void sleep_ms(long ms) {
  struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  nanosleep(&pause, NULL);
}

/* What a trainer's ranks tell each other: the save is only a part of it. */
typedef struct step_report {
  double other[3];
  pl_save_report save;
  int32_t more;
} step_report;

static inline step_report *exchange(const rig *r) {
  step_report mine;
  memset(&mine, 0xA5, sizeof mine);
  step_report *all = pl_alloc((size_t)r->ranks, sizeof *all);
  assert_non_null(all);
  pl_saver_report(r->saver, &mine.save);
  CHECK_OK(pl_comm_allgather_equal(r->comm, &mine, all, sizeof mine));
  return all;
}

/* The end of a step. */
static inline pl_status step_end(const rig *r) {
  step_report *all = exchange(r);
  pl_status status = pl_saver_advance(r->saver, &all->save, sizeof *all);
  pl_free(all);
  return status;
}

/* Waits until every part is on disk, without moving the save on; the reports that say so. */
static inline step_report *until_written(const rig *r) {
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

#endif
