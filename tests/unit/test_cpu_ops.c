/* The processor backend against the naive one: every operation, forward and backward, on awkward
 * shapes; the same bits on every run, in other memory, and for own kernels with any number of
 * threads. */
#include <stdlib.h>
#include <string.h>

#include "runtime/cpu/cpu.h"
#include "tests/check.h"
#include "tests/unit/op_compare.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const op_table *const tables[] = {&op_convolutions, &op_linears,   &op_batch_norms,
                                         &op_pools,        &op_pointwise, &op_l2_normalize};
/* Convolutions and linear layers keep their bits for a fixed number of threads only. */
enum { TABLES = COUNT(tables), FIRST_OF_OWN_KERNELS = 2 };

static void test_matches_the_naive_backend(void **state) {
  (void)state;
  for (int i = 0; i < TABLES; i++) op_compare_all(tables[i]);
}

static void test_repeatable(void **state) {
  (void)state;
  for (int i = 0; i < TABLES; i++) op_for_both_types(tables[i], op_check_repeatable);
}

static void test_threads_change_no_bit(void **state) {
  (void)state;
  for (int i = FIRST_OF_OWN_KERNELS; i < TABLES; i++)
    op_for_both_types(tables[i], op_check_thread_counts);
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
  op_compare_on(pl_cpu_backend(), pl_cpu_has_bf16());
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_matches_the_naive_backend), cmocka_unit_test(test_repeatable),
      cmocka_unit_test(test_threads_change_no_bit),     cmocka_unit_test(test_nan_passes),
      cmocka_unit_test(test_add_and_convert),           cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
