/* The processor backend against the naive one: every operation, forward and backward, on awkward
 * shapes; the same bits on every run, in other memory, and for own kernels with any number of
 * threads. */
#include <stdlib.h>
#include <string.h>

#include "runtime/cpu/cpu.h"
#include "tests/check.h"
#include "tests/unit/op_compare.h"

#define CONV(r, h, w, c, o, k, s, p)                                                             \
  {                                                                                              \
    .name = "conv " #r "x" #h "x" #w "x" #c " to " #o ", " #k "/" #s "/" #p, .kind = PL_OP_CONV, \
    .rows = (r), .in = {(h), (w), (c)}, .out_channels = (o), .window = {                         \
      (k),                                                                                       \
      (s),                                                                                       \
      (p)                                                                                        \
    }                                                                                            \
  }

/* In bf16 small maps and lines of an awkward width take the way over strips (61 images of 4×4: two
 * strips, the last with an empty place); strided 1×1 takes the one over picked positions, windows
 * side by side the one over tiles. */
static const op_setup convolutions[] = {
    CONV(2, 8, 8, 16, 16, 3, 1, 1),   CONV(1, 5, 7, 3, 5, 3, 1, 1),
    CONV(3, 9, 9, 7, 11, 3, 2, 1),    CONV(5, 4, 4, 33, 17, 3, 1, 1),
    CONV(13, 4, 4, 16, 32, 3, 1, 1),  CONV(7, 7, 7, 32, 16, 3, 2, 1),
    CONV(2, 1, 1, 16, 16, 3, 1, 1),   CONV(2, 20, 20, 3, 16, 7, 2, 3),
    CONV(4, 6, 6, 8, 8, 5, 1, 2),     CONV(2, 9, 8, 4, 6, 3, 1, 0),
    CONV(2, 24, 24, 16, 16, 3, 1, 1), CONV(3, 6, 5, 16, 24, 1, 1, 0),
    CONV(5, 7, 7, 19, 3, 1, 2, 0),    CONV(4, 8, 8, 32, 64, 1, 2, 0),
    CONV(2, 7, 9, 4, 6, 3, 3, 0),     CONV(2, 7, 5, 4, 4, 1, 3, 0),
    CONV(2, 6, 6, 5, 7, 2, 2, 0),     CONV(61, 4, 4, 3, 5, 3, 1, 1),
    CONV(2, 3, 34, 8, 4, 3, 1, 1),    CONV(3, 5, 67, 4, 4, 3, 2, 1),
    CONV(2, 2, 262, 2, 3, 3, 1, 1),
};

static const op_setup linears[] = {
    {.name = "linear 5x12 to 7",
     .kind = PL_OP_LINEAR,
     .rows = 5,
     .in = {1, 1, 12},
     .out_channels = 7,
     .bias = true},
    {.name = "linear 1x16 to 64",
     .kind = PL_OP_LINEAR,
     .rows = 1,
     .in = {1, 1, 16},
     .out_channels = 64},
    {.name = "linear 32x128 to 96",
     .kind = PL_OP_LINEAR,
     .rows = 32,
     .in = {1, 1, 128},
     .out_channels = 96,
     .bias = true},
    {.name = "linear 3x(2x3x5) to 66",
     .kind = PL_OP_LINEAR,
     .rows = 3,
     .in = {2, 3, 5},
     .out_channels = 66,
     .bias = true},
};

#define NORM(r, h, w, c, ...)                                                           \
  {                                                                                     \
    .name = "norm " #r "x" #h "x" #w "x" #c " " #__VA_ARGS__, .kind = PL_OP_BATCH_NORM, \
    .rows = (r), .in = {(h), (w), (c)}, __VA_ARGS__                                     \
  }

static const op_setup norms[] = {
    NORM(3, 5, 5, 7, .relu = false),
    NORM(2, 8, 8, 16, .relu = true),
    NORM(4, 6, 6, 33, .add = true),
    NORM(5, 3, 4, 64, .add = true, .relu = true),
    NORM(64, 1, 1, 24, .relu = true),
    NORM(5, 1, 1, 3, .relu = false),
    NORM(9, 24, 24, 5, .relu = true),
    NORM(3, 7, 7, 20, .mean = 10),
    NORM(3, 5, 5, 7, .inference = true),
    NORM(2, 4, 4, 32, .inference = true, .relu = true),
    NORM(2, 4, 4, 9, .inference = true, .add = true, .relu = true),
};

#define POOL(k, r, h, w, c, ...)                                                       \
  {                                                                                    \
    .name = #k " " #r "x" #h "x" #w "x" #c " " #__VA_ARGS__, .kind = (k), .rows = (r), \
    .in = {(h), (w), (c)}, .window = __VA_ARGS__                                       \
  }

static const op_setup pools[] = {
    POOL(PL_OP_MAX_POOL, 2, 8, 8, 16, {3, 2, 1}), POOL(PL_OP_MAX_POOL, 1, 7, 5, 3, {2, 2, 0}),
    POOL(PL_OP_MAX_POOL, 3, 9, 9, 70, {3, 1, 1}), POOL(PL_OP_MAX_POOL, 2, 15, 15, 2, {15, 1, 7}),
    POOL(PL_OP_AVG_POOL, 2, 8, 8, 16, {3, 2, 1}), POOL(PL_OP_AVG_POOL, 5, 7, 5, 3, {2, 1, 0}),
    POOL(PL_OP_AVG_POOL, 3, 4, 4, 130, {0}),      POOL(PL_OP_AVG_POOL, 2, 1, 1, 5, {0}),
};

static const op_setup others[] = {
    {.name = "relu", .kind = PL_OP_RELU, .rows = 3, .in = {5, 4, 7}},
    {.name = "add", .kind = PL_OP_ADD, .rows = 3, .in = {5, 4, 7}},
    {.name = "l2 5x12", .kind = PL_OP_L2_NORMALIZE, .rows = 5, .in = {1, 1, 12}},
    {.name = "l2 17x128", .kind = PL_OP_L2_NORMALIZE, .rows = 17, .in = {1, 1, 128}},
    {.name = "l2 below epsilon",
     .kind = PL_OP_L2_NORMALIZE,
     .rows = 4,
     .in = {1, 1, 6},
     .epsilon = 100},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void test_convolution(void **state) {
  (void)state;
  op_compare_all(convolutions, COUNT(convolutions), false);
}

static void test_linear(void **state) {
  (void)state;
  op_compare_all(linears, COUNT(linears), true);
}

static void test_norm(void **state) {
  (void)state;
  op_compare_all(norms, COUNT(norms), true);
}

static void test_pool(void **state) {
  (void)state;
  op_compare_all(pools, COUNT(pools), false);
}

static void test_others(void **state) {
  (void)state;
  op_compare_all(others, COUNT(others), false);
}

static void test_repeatable(void **state) {
  (void)state;
  op_for_both_types(convolutions, COUNT(convolutions), op_check_repeatable);
  op_for_both_types(linears, COUNT(linears), op_check_repeatable);
  op_for_both_types(norms, COUNT(norms), op_check_repeatable);
  op_for_both_types(pools, COUNT(pools), op_check_repeatable);
  op_for_both_types(others, COUNT(others), op_check_repeatable);
}

static void test_threads_change_no_bit(void **state) {
  (void)state;
  op_for_both_types(norms, COUNT(norms), op_check_thread_counts);
  op_for_both_types(pools, COUNT(pools), op_check_thread_counts);
  op_for_both_types(others, COUNT(others), op_check_thread_counts);
}

static void test_nan_passes(void **state) {
  (void)state;
  const op_setup setups[] = {
      {.name = "relu", .kind = PL_OP_RELU, .rows = 1, .in = {2, 2, 3}},
      {.name = "max", .kind = PL_OP_MAX_POOL, .rows = 1, .in = {2, 2, 3}, .window = {2, 1, 0}},
      {.name = "norm", .kind = PL_OP_BATCH_NORM, .rows = 2, .in = {2, 2, 3}, .relu = true}};
  for (size_t i = 0; i < COUNT(setups); i++) {
    op_fixture f;
    op_fixture_open(&f, &setups[i], pl_cpu_backend());
    ((float *)f.x)[0] = NAN; /* the first position's first channel */
    op_fixture_forward(&f);
    assert_true(isnan(((float *)f.y)[0]));
    op_fixture_close(&f);
  }
}

static void test_add_and_convert(void **state) {
  (void)state;
  enum { N = 1003 };
  const pl_backend *cpu = pl_cpu_backend();
  static float a[N], b[N], sum[N], back[N];
  static pl_bf16 narrow[N], narrow_sum[N];
  for (int i = 0; i < N; i++) {
    a[i] = (float)i * 0.37F - 100;
    b[i] = 50 - (float)i * 0.11F;
  }
  CHECK_OK(cpu->add(PL_F32, sum, a, b, N));
  CHECK_OK(cpu->convert(PL_BF16, narrow, PL_F32, a, N));
  CHECK_OK(cpu->convert(PL_F32, back, PL_BF16, narrow, N));
  CHECK_OK(cpu->add(PL_BF16, narrow_sum, narrow, narrow, N));
  for (int i = 0; i < N; i++) {
    assert_true(sum[i] == a[i] + b[i]);
    assert_int_equal(narrow[i], pl_f32_to_bf16(a[i]));
    assert_true(back[i] == pl_bf16_to_f32(narrow[i]));
    assert_true(pl_bf16_to_f32(narrow_sum[i]) == 2 * back[i]);
  }
  CHECK_OK(cpu->add(PL_F32, a, a, b, N));
  assert_memory_equal(a, sum, sizeof sum);
  CHECK_FAILS(PL_E_INTERNAL, "no conversion", cpu->convert(PL_U8, narrow, PL_F32, a, N));
}

static void test_refusals(void **state) {
  (void)state;
  const pl_backend *cpu = pl_cpu_backend();
  pl_op op = {.kind = PL_OP_MAX_POOL,
              .name = "pool",
              .in_shape = {32, 32, 4},
              .out_shape = {17, 17, 4},
              .window = {16, 1, 0}};
  pl_kernel_spec spec = {.op = &op, .rows = 2, .in_type = PL_F32, .out_type = PL_F32};
  assert_non_null(strstr(cpu->supports(&spec), "15"));
  pl_kernel *kernel = NULL;
  pl_kernel_needs needs;
  CHECK_FAILS(PL_E_USAGE, "pool: max pooling", cpu->prepare(&spec, &kernel, &needs));
  assert_null(kernel);
  op.kind = PL_OP_INPUT;
  assert_non_null(cpu->supports(&spec));
  const pl_op_kind kinds[] = {PL_OP_CONV,         PL_OP_LINEAR, PL_OP_BATCH_NORM,
                              PL_OP_L2_NORMALIZE, PL_OP_RELU,   PL_OP_ADD};
  spec.out_type = PL_BF16;
  for (size_t i = 0; i < COUNT(kinds); i++) {
    op.kind = kinds[i];
    assert_non_null(cpu->supports(&spec));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_convolution),
      cmocka_unit_test(test_linear),
      cmocka_unit_test(test_norm),
      cmocka_unit_test(test_pool),
      cmocka_unit_test(test_others),
      cmocka_unit_test(test_repeatable),
      cmocka_unit_test(test_threads_change_no_bit),
      cmocka_unit_test(test_nan_passes),
      cmocka_unit_test(test_add_and_convert),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
