/* The processor backend's operations of sequences against the naive ones, as test_cpu_ops.c has it
 * for those of images. */
#include <string.h>

#include "runtime/cpu/cpu.h"
#include "tests/check.h"
#include "tests/unit/op_compare.h"
#include "tests/unit/op_properties.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Linear layers keep their bits for a fixed number of threads only. */
static const op_table *const tables[] = {&op_linears_each, &op_attentions, &op_layer_norms,
                                         &op_embeddings,   &op_positions,  &op_gelus,
                                         &op_selects,      &op_dropouts};
enum { TABLES = COUNT(tables), FIRST_OF_OWN_KERNELS = 1 };

static void matches_the_naive_backend(void **state) {
  (void)state;
  for (int i = 0; i < TABLES; i++) op_compare_all(tables[i]);
}

static void is_repeatable(void **state) {
  (void)state;
  for (int i = 0; i < TABLES; i++) op_for_both_types(tables[i], op_check_repeatable);
}

static void threads_change_no_bit(void **state) {
  (void)state;
  for (int i = FIRST_OF_OWN_KERNELS; i < TABLES; i++)
    op_for_both_types(tables[i], op_check_thread_counts);
}

static void gelu_holds_everywhere(void **state) {
  (void)state;
  op_check_gelu(pl_cpu_backend());
}

static void causal_attention_sees_no_future(void **state) {
  (void)state;
  op_check_causal(pl_cpu_backend());
}

/* The share of zeros is the rate, and what stays is scaled so that the mean stays. */
static void dropout_keeps_the_mean(void **state) {
  (void)state;
  op_setup setup = {
      .name = "dropout", .kind = PL_OP_DROPOUT, .rows = 64, .in = {50, 1, 33}, .rate = 0.25F};
  op_fixture f;
  op_fixture_open(&f, &setup, pl_cpu_backend());
  float *x = f.x, *y = f.y;
  for (size_t i = 0; i < f.in_count; i++) x[i] = 3;
  op_fixture_forward(&f);
  size_t dropped = 0;
  for (size_t i = 0; i < f.out_count; i++) {
    assert_true(y[i] == 0 || y[i] == 4);
    dropped += y[i] == 0;
  }
  double deviation = sqrt(0.25 * 0.75 / (double)f.out_count);
  CHECK_NEAR((double)dropped / (double)f.out_count, 0.25, 5 * deviation);
  op_fixture_close(&f);
}

static void a_nan_stays(void **state) {
  (void)state;
  const op_setup setups[] = {
      {.name = "gelu", .kind = PL_OP_GELU, .rows = 1, .in = {2, 1, 3}},
      {.name = "norm", .kind = PL_OP_LAYER_NORM, .rows = 1, .in = {2, 1, 3}},
      {.name = "attention", .kind = PL_OP_ATTENTION, .rows = 1, .in = {2, 1, 3}, .heads = 1},
      {.name = "dropout", .kind = PL_OP_DROPOUT, .rows = 1, .in = {2, 1, 3}, .rate = 1e-6F}};
  for (size_t i = 0; i < COUNT(setups); i++) {
    op_fixture f;
    op_fixture_open(&f, &setups[i], pl_cpu_backend());
    ((float *)f.x)[0] = NAN;
    op_fixture_forward(&f);
    assert_true(isnan(((float *)f.y)[0]));
    op_fixture_close(&f);
  }
}

static void what_is_not_done_is_refused(void **state) {
  (void)state;
  const pl_op_kind kinds[] = {PL_OP_POSITIONS, PL_OP_LAYER_NORM, PL_OP_GELU,
                              PL_OP_ATTENTION, PL_OP_SELECT,     PL_OP_DROPOUT};
  const pl_backend *cpu = pl_cpu_backend();
  pl_space *space = NULL;
  int weight;
  int64_t dim[2] = {3, 6};
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(
      pl_space_add(space, "w", PL_PARAM_WEIGHT, 2, dim, (pl_init){PL_INIT_NORMAL, 1}, &weight));
  CHECK_OK(pl_space_seal(space, PL_F32, 1 << 16));
  pl_op op = {.name = "op", .in_shape = {3, 1, 6}, .out_shape = {3, 1, 6}, .weight = weight};
  pl_kernel_spec spec = {.op = &op, .space = space, .rows = 2, .training = true};
  for (size_t i = 0; i < COUNT(kinds); i++) {
    op.kind = kinds[i];
    spec.in_type = spec.out_type = PL_F32;
    assert_null(cpu->supports(&spec));
    spec.in_type = PL_I32;
    assert_non_null(cpu->supports(&spec));
    spec.in_type = PL_F32;
    spec.out_type = PL_BF16;
    assert_non_null(cpu->supports(&spec));
  }
  op.kind = PL_OP_EMBEDDING;
  spec.out_type = PL_F32;
  assert_non_null(cpu->supports(&spec));
  spec.in_type = PL_I32;
  assert_null(cpu->supports(&spec));
  spec.out_type = PL_BF16;
  assert_non_null(cpu->supports(&spec));
  op.kind = PL_OP_DROPOUT;
  spec =
      (pl_kernel_spec){.op = &op, .space = space, .rows = 2, .in_type = PL_F32, .out_type = PL_F32};
  assert_non_null(strstr(cpu->supports(&spec), "training"));
  pl_space_destroy(&space);
}

int main(void) {
  op_compare_on(pl_cpu_backend(), pl_cpu_has_bf16());
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matches_the_naive_backend),
      cmocka_unit_test(is_repeatable),
      cmocka_unit_test(threads_change_no_bit),
      cmocka_unit_test(gelu_holds_everywhere),
      cmocka_unit_test(causal_attention_sees_no_future),
      cmocka_unit_test(dropout_keeps_the_mean),
      cmocka_unit_test(a_nan_stays),
      cmocka_unit_test(what_is_not_done_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
