/* The CUDA backend against the naive one: every operation, forward and backward, on the shapes that
 * the processor backend is tried on. Built twice: emulated, and for a GPU, which may be missing. */
#include "runtime/cuda/cuda.h"
#include "tests/check.h"
#include "tests/unit/cuda_tables.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/op_compare.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void matches_the_naive_backend(void **state) {
  (void)state;
  for (size_t i = 0; i < cuda_table_count; i++) op_compare_all(cuda_tables[i]);
}

static void is_repeatable(void **state) {
  (void)state;
  for (size_t i = 0; i < cuda_table_count; i++)
    op_for_both_types(cuda_tables[i], op_check_repeatable);
}

static void gradients_are_added(void **state) {
  (void)state;
  for (size_t i = 0; i < cuda_table_count; i++) op_for_both_types(cuda_tables[i], op_check_adding);
}

/* Kinds that pass a NaN of the first element on to the first element of their output. */
static void a_nan_stays(void **state) {
  (void)state;
  const op_setup setups[] = {
      {.name = "relu", .kind = PL_OP_RELU, .rows = 1, .in = {2, 2, 3}},
  };
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
  pl_op op = {.kind = PL_OP_RELU, .name = "relu", .in_shape = {2, 2, 3}, .out_shape = {2, 2, 3}};
  pl_kernel_spec spec = {.op = &op, .rows = 2, .in_type = PL_F32, .out_type = PL_BF16};
  const pl_backend *cuda = pl_cuda_backend();
  pl_kernel *kernel = NULL;
  pl_kernel_needs needs;
  CHECK_FAILS(PL_E_USAGE, "relu: it needs f32 or bf16", cuda->prepare(&spec, &kernel, &needs));
  assert_null(kernel);
  spec.out_type = PL_F32;
  spec.rows = 0;
  CHECK_FAILS(PL_E_USAGE, "at least one row", cuda->prepare(&spec, &kernel, &needs));
  spec.rows = 2;
  op.kind = PL_OP_INPUT;
  CHECK_FAILS(PL_E_USAGE, "not computed", cuda->prepare(&spec, &kernel, &needs));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matches_the_naive_backend),   cmocka_unit_test(is_repeatable),
      cmocka_unit_test(gradients_are_added),         cmocka_unit_test(a_nan_stays),
      cmocka_unit_test(what_is_not_done_is_refused),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  op_compare_on(pl_cuda_backend(), true);
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
