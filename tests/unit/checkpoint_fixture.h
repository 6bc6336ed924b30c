/* For tests of checkpoints: a small model, its state as any number of ranks would hold it, and a
 * folder to write to. */
#ifndef TESTS_UNIT_CHECKPOINT_FIXTURE_H
#define TESTS_UNIT_CHECKPOINT_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/store/checkpoint.h"
#include "tests/check.h"

enum { MOST_RANKS = 7, VECTORS = 2, REPLICATED = 2 };

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

static inline void add_tensor(pl_space *space, const tensor *t) {
  int index;
  CHECK_OK(pl_space_add(space, t->name, t->kind, t->dims, t->dim, (pl_init){0}, &index));
}

/* The tensors in this order or in reverse, and two buffers. */
static inline pl_space *make_space(bool reverse) {
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
static inline float element(const char *name, int vector, int64_t index) {
  return (float)(name[0] + 3 * name[5]) + (float)vector / 4 + (float)index * 128;
}

/* One rank's vectors. */
typedef struct share {
  pl_slice *slice;
  pl_checkpoint_vectors vectors;
} share;

static inline share make_share(const pl_space *space, int ranks, int rank, bool filled) {
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

static inline void free_share(share *s) {
  for (int v = 0; v < VECTORS; v++) pl_free(s->vectors.values[v]);
  pl_slice_destroy(&s->slice);
}

/* The replicated vectors: element() of the buffers, where the second stands for vector 1. */
static inline pl_checkpoint_vectors make_buffers(const pl_space *space, bool filled) {
  pl_checkpoint_vectors v = {.count = REPLICATED, .name = {"buffers", "average_buffers"}};
  for (int k = 0; k < REPLICATED; k++) {
    v.values[k] = pl_alloc((size_t)pl_space_buffer_elements(space), sizeof(float));
    assert_non_null(v.values[k]);
    for (int b = 0; filled && b < pl_space_buffers(space); b++) {
      const pl_buffer *buffer = pl_space_buffer(space, b);
      for (int64_t i = 0; i < buffer->count; i++) {
        v.values[k][buffer->offset + i] = element(buffer->name, k, i);
      }
    }
  }
  return v;
}

static inline void free_buffers(pl_checkpoint_vectors *buffers) {
  for (int k = 0; k < buffers->count; k++) pl_free(buffers->values[k]);
}

/* What a test writes and where. */
typedef struct fixture {
  char parent[128];
  pl_space *space;
} fixture;

static inline int set_up(void **state) {
  fixture *f = pl_alloc(1, sizeof *f);
  assert_non_null(f);
  snprintf(f->parent, sizeof f->parent, "%s", "/tmp/plenum-checkpoint-XXXXXX");
  assert_non_null(mkdtemp(f->parent));
  f->space = make_space(false);
  pl_log_set_level(PL_LOG_ERROR);
  *state = f;
  return 0;
}

static inline int tear_down(void **state) {
  fixture *f = *state;
  CHECK_OK(pl_remove_tree(f->parent));
  pl_space_destroy(&f->space);
  pl_free(f);
  return 0;
}

static inline pl_status write_parts(const fixture *f, int ranks, int64_t step,
                                    pl_checkpoint_part_record *records) {
  pl_checkpoint_vectors buffers = make_buffers(f->space, true);
  pl_status status = PL_OK;
  for (int rank = 0; rank < ranks && status == PL_OK; rank++) {
    share s = make_share(f->space, ranks, rank, true);
    status =
        pl_checkpoint_write_part(f->parent, step, s.slice, &s.vectors, rank == 0 ? &buffers : NULL,
                                 pl_space_buffer_elements(f->space), &records[rank]);
    free_share(&s);
  }
  free_buffers(&buffers);
  return status;
}

static const pl_checkpoint_shard ledger[] = {{"part-00000.h5", 1000, 2, 1},
                                             {"odd \"shard\"", INT64_C(1) << 40, 0, 0}};

static inline pl_checkpoint_manifest make_manifest(int ranks, int64_t step,
                                                   const pl_checkpoint_part_record *records,
                                                   const char *config) {
  return (pl_checkpoint_manifest){.step = step,
                                  .position = step * 512,
                                  .passed_over = 3,
                                  .dataset = "fedcba9876543210fedcba9876543210",
                                  .shards = 2,
                                  .shard = ledger,
                                  .metric = "knn",
                                  .value = (double)step / 1024,
                                  .parts = ranks,
                                  .part = records,
                                  .config_yaml = config,
                                  .build = "0.1.0 \"test\"",
                                  .state_hash = "0123456789abcdef0123456789abcdef"};
}

static inline pl_status commit(const fixture *f, int ranks, int64_t step,
                               const pl_checkpoint_part_record *records, const char *config) {
  const pl_checkpoint_vectors names = {.count = VECTORS, .name = {"params", "momentum"}};
  const pl_checkpoint_vectors replicated = {.count = REPLICATED,
                                            .name = {"buffers", "average_buffers"}};
  pl_checkpoint_manifest manifest = make_manifest(ranks, step, records, config);
  return pl_checkpoint_commit(f->parent, f->space, &names, &replicated, &manifest);
}

static inline pl_status write_all(const fixture *f, int ranks, int64_t step) {
  pl_checkpoint_part_record records[MOST_RANKS];
  PL_TRY(write_parts(f, ranks, step, records));
  return commit(f, ranks, step, records, config_text);
}

/* Path of a file of a checkpoint. */
static inline const char *path_of(const fixture *f, int64_t step, const char *name) {
  static char path[PL_PATH_MAX];
  char folder[PL_PATH_MAX];
  CHECK_OK(pl_checkpoint_path(f->parent, step, false, folder));
  CHECK_OK(pl_path_join(folder, name, path));
  return path;
}

static inline pl_status open_step(const fixture *f, int64_t step, pl_checkpoint **out) {
  char folder[PL_PATH_MAX];
  CHECK_OK(pl_checkpoint_path(f->parent, step, false, folder));
  return pl_checkpoint_open(folder, out);
}

/* Opens and verifies all parts. */
static inline pl_status verify_step(const fixture *f, int64_t step) {
  pl_checkpoint *checkpoint;
  PL_TRY(open_step(f, step, &checkpoint));
  pl_status status = pl_checkpoint_verify(checkpoint, 0, 1);
  pl_checkpoint_close(&checkpoint);
  return status;
}

static inline void check_equal(const pl_checkpoint_vectors *got,
                               const pl_checkpoint_vectors *expected, int64_t elements) {
  for (int v = 0; v < expected->count; v++) {
    assert_memory_equal(got->values[v], expected->values[v], (size_t)elements * sizeof(float));
  }
}

/* Reads on `ranks` ranks into `space` and compares every element. */
static inline void check_contents(const pl_checkpoint *checkpoint, const pl_space *space,
                                  int ranks) {
  for (int rank = 0; rank < ranks; rank++) {
    share got = make_share(space, ranks, rank, false);
    share expected = make_share(space, ranks, rank, true);
    pl_checkpoint_vectors buffers = make_buffers(space, false);
    pl_checkpoint_vectors expected_buffers = make_buffers(space, true);
    CHECK_OK(pl_checkpoint_read(checkpoint, space, got.slice, &got.vectors, &buffers));
    check_equal(&got.vectors, &expected.vectors, got.slice->blocks * PL_BLOCK);
    check_equal(&buffers, &expected_buffers, pl_space_buffer_elements(space));
    free_buffers(&buffers);
    free_buffers(&expected_buffers);
    free_share(&got);
    free_share(&expected);
  }
}

/* The checkpoint of this step is whole: it verifies and holds what was written. */
static inline void check_whole(const fixture *f, int64_t step, int ranks) {
  pl_checkpoint *checkpoint;
  CHECK_OK(open_step(f, step, &checkpoint));
  CHECK_OK(pl_checkpoint_verify(checkpoint, 0, 1));
  assert_int_equal(pl_checkpoint_get_manifest(checkpoint)->step, step);
  check_contents(checkpoint, f->space, ranks);
  pl_checkpoint_close(&checkpoint);
}

/* Overwrites one byte of a file, `from_end` bytes before its end. */
static inline void flip_bit(const char *path, long from_end) {
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
  int byte = getc(file);
  assert_int_equal(fseek(file, -from_end, SEEK_END), 0);
  putc(byte ^ 1, file);
  assert_int_equal(fclose(file), 0);
}

#endif
