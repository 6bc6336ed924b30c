/* Norms, pooling and the operations of sequences on the CUDA backend, where its blocks, chunks and
 * tiles end, and what they share with the processor bit by bit. Built twice, as test_cuda_ops.c. */
#include <string.h>

#include "runtime/cpu/cpu.h"
#include "runtime/cuda/cuda.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/op_compare.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Columns of one, of several and of cut tiles, by fours and one by one; chunks of positions that
 * end within a group. */
#define NORM(r, h, w, c, ...)                                                           \
  {                                                                                     \
    .name = "norm " #r "x" #h "x" #w "x" #c " " #__VA_ARGS__, .kind = PL_OP_BATCH_NORM, \
    .rows = (r), .in = {(h), (w), (c)}, __VA_ARGS__                                     \
  }
static const op_setup norms[] = {
    NORM(2, 25, 25, 4, .relu = true),
    NORM(1, 37, 37, 1, .add = true),
    NORM(7, 5, 3, 132, .add = true, .relu = true),
    NORM(5, 4, 4, 200, .relu = true),
    NORM(3, 7, 7, 130, .relu = true),
    NORM(2, 2, 1, 1000, .relu = false),
    NORM(9, 9, 9, 12, .add = true),
    NORM(3, 9, 9, 260, .inference = true, .add = true),
};

#define LAYER_NORM(r, t, c)                                                                \
  {                                                                                        \
    .name = "layer norm " #r "x" #t "x" #c, .kind = PL_OP_LAYER_NORM, .rows = (r), .in = { \
      (t),                                                                                 \
      1,                                                                                   \
      (c)                                                                                  \
    }                                                                                      \
  }
static const op_setup layer_norms[] = {
    LAYER_NORM(1, 1, 8),    LAYER_NORM(5, 13, 2),   LAYER_NORM(3, 7, 33),   LAYER_NORM(2, 9, 132),
    LAYER_NORM(1, 17, 769), LAYER_NORM(1, 3, 1024), LAYER_NORM(1, 21, 516), LAYER_NORM(3, 11, 512),
    LAYER_NORM(1, 35, 768), LAYER_NORM(1, 5, 1028),
};

#define POOL(k, r, h, w, c, ...)                                                       \
  {                                                                                    \
    .name = #k " " #r "x" #h "x" #w "x" #c " " #__VA_ARGS__, .kind = (k), .rows = (r), \
    .in = {(h), (w), (c)}, .window = __VA_ARGS__                                       \
  }
static const op_setup pools[] = {
    POOL(PL_OP_MAX_POOL, 3, 11, 6, 132, {3, 2, 1}), POOL(PL_OP_MAX_POOL, 2, 9, 10, 66, {4, 3, 2}),
    POOL(PL_OP_AVG_POOL, 2, 9, 10, 68, {4, 3, 2}),  POOL(PL_OP_AVG_POOL, 7, 3, 3, 513, {0}),
    POOL(PL_OP_AVG_POOL, 2, 10, 9, 34, {3, 2, 1}),
};

static const op_setup normalizes[] = {
    {.name = "l2 9x2", .kind = PL_OP_L2_NORMALIZE, .rows = 9, .in = {1, 1, 2}},
    {.name = "l2 6x33", .kind = PL_OP_L2_NORMALIZE, .rows = 6, .in = {1, 1, 33}},
    {.name = "l2 3x515", .kind = PL_OP_L2_NORMALIZE, .rows = 3, .in = {1, 1, 515}},
};

/* Two, three and four tiles of sorted positions; tokens of many pieces, of one and of none; exactly
 * one tile, and one position more. */
#define EMBEDDING(r, t, v, c)                                                              \
  {                                                                                        \
    .name = "embedding " #r "x" #t " of " #v "x" #c, .kind = PL_OP_EMBEDDING, .rows = (r), \
    .in = {(t), 1, 1}, .vocabulary = (v), .out_channels = (c)                              \
  }
static const op_setup embeddings[] = {
    EMBEDDING(33, 40, 3, 12),  EMBEDDING(30, 70, 700, 5), EMBEDDING(45, 70, 40, 8),
    EMBEDDING(19, 70, 1, 3),   EMBEDDING(32, 32, 9, 7),   EMBEDDING(25, 41, 2000, 4),
    EMBEDDING(3, 50, 2, 1030), EMBEDDING(1, 1, 1, 1),
};

static const op_setup positions[] = {
    {.name = "positions 130x3x12",
     .kind = PL_OP_POSITIONS,
     .rows = 130,
     .in = {3, 1, 12},
     .class_token = true},
    {.name = "positions 5x7x132", .kind = PL_OP_POSITIONS, .rows = 5, .in = {7, 1, 132}},
    {.name = "positions 70x5x1",
     .kind = PL_OP_POSITIONS,
     .rows = 70,
     .in = {5, 1, 1},
     .class_token = true},
};

#define SELECT(r, t, c, ...)                                                                \
  {                                                                                         \
    .name = "select " #r "x" #t "x" #c " " #__VA_ARGS__, .kind = PL_OP_SELECT, .rows = (r), \
    .in = {(t), 1, (c)}, __VA_ARGS__                                                        \
  }
static const op_setup selects[] = {
    SELECT(5, 77, 12, .select = PL_SELECT_END),   SELECT(40, 3, 1, .select = PL_SELECT_END),
    SELECT(3, 100, 515, .select = PL_SELECT_END), SELECT(3, 33, 260, .select = PL_SELECT_FIRST),
    SELECT(2, 1, 5, .select = PL_SELECT_END),
};

#define DROPOUT(r, t, c, p)                                                         \
  {                                                                                 \
    .name = "dropout " #r "x" #t "x" #c " " #p, .kind = PL_OP_DROPOUT, .rows = (r), \
    .in = {(t), 1, (c)}, .rate = (p)                                                \
  }
static const op_setup dropouts[] = {
    DROPOUT(1, 1, 1, 0.5F),      DROPOUT(3, 7, 11, 0.1F),   DROPOUT(2, 33, 31, 0.25F),
    DROPOUT(4, 16, 64, 0.9F),    DROPOUT(1, 1, 1025, 0.3F), DROPOUT(5, 1, 3, 1e-6F),
    DROPOUT(1, 1, 7, 0.999999F),
};

#define TABLE(array) \
  { array, COUNT(array), false }
static const op_table tables[] = {
    {norms, COUNT(norms), true},
    TABLE(layer_norms),
    TABLE(pools),
    {normalizes, COUNT(normalizes), true},
    TABLE(embeddings),
    TABLE(positions),
    TABLE(selects),
    TABLE(dropouts),
};

static void matches_the_naive_backend(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT(tables); i++) op_compare_all(&tables[i]);
}

/* What several threads add up. */
static void is_repeatable(void **state) {
  (void)state;
  const op_table sums[] = {TABLE(norms), TABLE(layer_norms), TABLE(embeddings), TABLE(positions)};
  for (size_t i = 0; i < COUNT(sums); i++) op_for_both_types(&sums[i], op_check_repeatable);
}

/* On both backends, after `change` has been made to the inputs. */
static void check_as_processor(const op_setup *setup, void (*change)(op_fixture *)) {
  op_fixture own, cpu;
  op_fixture_open(&own, setup, pl_cuda_backend());
  op_fixture_open(&cpu, setup, pl_cpu_backend());
  op_fixture *both[] = {&own, &cpu};
  for (int i = 0; i < 2; i++) {
    if (change) change(both[i]);
    op_fixture_forward(both[i]);
    op_fixture_backward(both[i]);
  }
  op_check_same_bits(&own, &cpu, "than the processor's");
  op_fixture_close(&own);
  op_fixture_close(&cpu);
}

static void check_unchanged(const op_setup *setup) { check_as_processor(setup, NULL); }

static void set_all_ones(op_fixture *f) {
  for (size_t i = 0; i < f->in_count; i++) op_fixture_set(f->x_type, f->x, i, 1);
}
static void check_all_ones(const op_setup *setup) { check_as_processor(setup, set_all_ones); }

/* Masks of dropout are the same numbers', so a step can be made again on either backend. */
static void dropout_has_the_mask_of_the_processor(void **state) {
  (void)state;
  op_table table = TABLE(dropouts);
  op_for_both_types(&table, check_unchanged);
}

static void selection_is_that_of_the_processor(void **state) {
  (void)state;
  op_table table = TABLE(selects);
  op_for_both_types(&table, check_unchanged);
}

static void of_equal_inputs_the_first_is_the_largest(void **state) {
  (void)state;
  const op_setup setups[] = {POOL(PL_OP_MAX_POOL, 2, 9, 7, 5, {3, 2, 1}),
                             POOL(PL_OP_MAX_POOL, 2, 9, 7, 8, {2, 2, 0}),
                             POOL(PL_OP_MAX_POOL, 2, 6, 7, 4, {3, 3, 1})};
  op_table table = TABLE(setups);
  op_for_both_types(&table, check_all_ones);
}

static void a_nan_stays(void **state) {
  (void)state;
  const op_setup setups[] = {
      {.name = "max", .kind = PL_OP_MAX_POOL, .rows = 1, .in = {2, 2, 3}, .window = {2, 1, 0}},
      {.name = "norm", .kind = PL_OP_BATCH_NORM, .rows = 2, .in = {2, 2, 3}, .relu = true},
      {.name = "norm of fours", .kind = PL_OP_BATCH_NORM, .rows = 2, .in = {2, 2, 4}},
      {.name = "layer norm", .kind = PL_OP_LAYER_NORM, .rows = 1, .in = {2, 1, 3}},
      {.name = "l2", .kind = PL_OP_L2_NORMALIZE, .rows = 2, .in = {1, 1, 3}},
      {.name = "dropout", .kind = PL_OP_DROPOUT, .rows = 1, .in = {2, 1, 3}, .rate = 1e-6F}};
  for (size_t i = 0; i < COUNT(setups); i++) {
    op_fixture f;
    op_fixture_open(&f, &setups[i], pl_cuda_backend());
    ((float *)f.x)[0] = NAN;
    op_fixture_forward(&f);
    if (!isnan(((float *)f.y)[0])) fail_msg("%s loses a NaN", setups[i].name);
    op_fixture_close(&f);
  }
}

static void what_is_not_done_is_refused(void **state) {
  (void)state;
  const pl_op_kind kinds[] = {PL_OP_BATCH_NORM, PL_OP_MAX_POOL,     PL_OP_AVG_POOL, PL_OP_POSITIONS,
                              PL_OP_LAYER_NORM, PL_OP_L2_NORMALIZE, PL_OP_SELECT,   PL_OP_DROPOUT};
  const pl_backend *cuda = pl_cuda_backend();
  pl_space *space = NULL;
  int weight;
  int64_t dim[2] = {3, 6};
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(
      pl_space_add(space, "w", PL_PARAM_WEIGHT, 2, dim, (pl_init){PL_INIT_NORMAL, 1}, &weight));
  CHECK_OK(pl_space_seal(space, PL_F32, 1 << 16));
  pl_op op = {.name = "op",
              .in_shape = {3, 1, 6},
              .out_shape = {3, 1, 6},
              .window = {1, 1, 0},
              .weight = weight};
  pl_kernel_spec spec = {.op = &op, .space = space, .rows = 2, .training = true};
  for (size_t i = 0; i < COUNT(kinds); i++) {
    op.kind = kinds[i];
    spec.in_type = spec.out_type = PL_F32;
    assert_null(cuda->supports(&spec));
    spec.in_type = PL_I32;
    assert_non_null(cuda->supports(&spec));
    spec.in_type = PL_F32;
    spec.out_type = PL_BF16;
    assert_non_null(cuda->supports(&spec));
  }
  spec.out_type = PL_F32;
  op.kind = PL_OP_EMBEDDING;
  assert_non_null(cuda->supports(&spec));
  spec.in_type = PL_I32;
  assert_null(cuda->supports(&spec));
  spec.out_type = PL_BF16;
  assert_non_null(cuda->supports(&spec));
  spec.in_type = spec.out_type = PL_F32;
  op.kind = PL_OP_MAX_POOL;
  op.window = (pl_window){16, 1, 0};
  assert_non_null(strstr(cuda->supports(&spec), "15"));
  op.kind = PL_OP_DROPOUT;
  spec.training = false;
  assert_non_null(strstr(cuda->supports(&spec), "training"));
  pl_space_destroy(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matches_the_naive_backend),
      cmocka_unit_test(is_repeatable),
      cmocka_unit_test(dropout_has_the_mask_of_the_processor),
      cmocka_unit_test(selection_is_that_of_the_processor),
      cmocka_unit_test(of_equal_inputs_the_first_is_the_largest),
      cmocka_unit_test(a_nan_stays),
      cmocka_unit_test(what_is_not_done_is_refused),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  op_compare_on(pl_cuda_backend(), true);
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
