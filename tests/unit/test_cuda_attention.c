/* Fused attention of the CUDA backend, beyond what every operation is tried with. Built twice, as
 * test_cuda_ops.c. */
#include <string.h>

#include "runtime/cpu/cpu.h"
#include "runtime/cuda/cuda.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/op_fixture.h"

#define ATTENTION(r, t, h, w, c)                                                              \
  {                                                                                           \
    .name = "attention", .kind = PL_OP_ATTENTION, .rows = (r), .in = {(t), 1, 3 * (h) * (w)}, \
    .heads = (h), .causal = (c), .in_type = PL_BF16, .out_type = PL_BF16                      \
  }

static void open(op_fixture *f, const op_setup *setup) {
  op_fixture_open(f, setup, pl_cuda_backend());
}

static void check_close(const char *what, const void *a, const void *b, size_t n) {
  double largest = 0;
  for (size_t i = 0; i < n; i++)
    largest = fmax(largest, fabs((double)op_fixture_get(PL_BF16, b, i)));
  for (size_t i = 0; i < n; i++) {
    double va = op_fixture_get(PL_BF16, a, i), vb = op_fixture_get(PL_BF16, b, i);
    if (!(fabs(va - vb) <= 1e-2 * largest)) {
      print_error("%s[%zu] = %.9g, expected %.9g; largest %.9g\n", what, i, va, vb, largest);
      fail();
    }
  }
}

/* The lengths of a text and of an image in usual towers. */
static void gives_what_the_processor_gives(void **state) {
  (void)state;
  if (!pl_cpu_has_bf16()) skip();
  const op_setup setups[] = {ATTENTION(1, 77, 2, 64, true), ATTENTION(1, 197, 1, 64, false)};
  for (int i = 0; i < 2; i++) {
    op_fixture own, processor;
    open(&own, &setups[i]);
    op_fixture_open(&processor, &setups[i], pl_cpu_backend());
    op_fixture_forward(&own);
    op_fixture_forward(&processor);
    op_fixture_backward(&own);
    op_fixture_backward(&processor);
    check_close("y", own.y, processor.y, own.out_count);
    check_close("dx", own.dx, processor.dx, own.in_count);
    op_fixture_close(&own);
    op_fixture_close(&processor);
  }
}

/* Scores of some ten thousands, most of which vanish beside the largest: the sums that were made
 * before it came are scaled down to nothing, and nothing overflows. */
static void large_scores_do_no_harm(void **state) {
  (void)state;
  enum { LENGTH = 131, WIDTH = 64 };
  const op_setup setup = ATTENTION(1, LENGTH, 1, WIDTH, false);
  op_fixture f;
  open(&f, &setup);
  for (int t = 0; t < LENGTH; t++)
    for (int c = 0; c < WIDTH; c++) {
      size_t at = (size_t)t * 3 * WIDTH + (size_t)c;
      op_fixture_set(PL_BF16, f.x, at, 40);
      op_fixture_set(PL_BF16, f.x, at + WIDTH, t == LENGTH - 2 ? 41 : (float)(t % 3) - 40);
    }
  op_fixture_forward(&f);
  op_fixture_backward(&f);
  for (size_t t = 0; t < LENGTH; t++)
    for (size_t c = 0; c < WIDTH; c++) {
      float value = op_fixture_get(PL_BF16, f.x, (LENGTH - 2) * 3 * WIDTH + 2 * WIDTH + c);
      assert_true(op_fixture_get(PL_BF16, f.y, t * WIDTH + c) == value);
    }
  for (size_t i = 0; i < f.in_count; i++) assert_true(isfinite(op_fixture_get(PL_BF16, f.dx, i)));
  op_fixture_close(&f);
}

/* Position AT changes, and those before it must not notice. */
static void no_position_sees_later_ones(void **state) {
  (void)state;
  enum { LENGTH = 70, WIDTH = 32, AT = 65 };
  const op_setup setup = ATTENTION(1, LENGTH, 1, WIDTH, true);
  op_fixture f;
  pl_bf16 before[LENGTH * WIDTH];
  open(&f, &setup);
  op_fixture_forward(&f);
  memcpy(before, f.y, sizeof before);
  for (size_t i = 0; i < 3 * WIDTH; i++) op_fixture_set(PL_BF16, f.x, AT * 3 * WIDTH + i, 3);
  op_fixture_forward(&f);
  assert_memory_equal(f.y, before, AT * WIDTH * sizeof *before);
  assert_memory_not_equal((pl_bf16 *)f.y + AT * WIDTH, before + AT * WIDTH, WIDTH * sizeof *before);
  op_fixture_close(&f);
}

static void a_nan_stays_in_its_row_and_head(void **state) {
  (void)state;
  enum { LENGTH = 18, WIDTH = 16, HEADS = 2 };
  const op_setup setup = ATTENTION(2, LENGTH, HEADS, WIDTH, false);
  op_fixture f;
  open(&f, &setup);
  op_fixture_set(PL_BF16, f.x, HEADS * WIDTH + 3, NAN); /* row 0, a key of head 0 */
  op_fixture_forward(&f);
  for (size_t i = 0; i < f.out_count; i++) {
    bool touched = i / (LENGTH * HEADS * WIDTH) == 0 && i / WIDTH % HEADS == 0;
    assert_int_equal(isnan(op_fixture_get(PL_BF16, f.y, i)) != 0, touched);
  }
  op_fixture_close(&f);
}

/* Inference gives the same bits and saves nothing; no memory grows with the square of the length.
 */
static void needs_no_more_than_said(void **state) {
  (void)state;
  op_setup setup = ATTENTION(2, 40, 2, 64, true);
  op_fixture trained, applied;
  open(&trained, &setup);
  setup.inference = true;
  open(&applied, &setup);
  op_fixture_forward(&trained);
  op_fixture_forward(&applied);
  assert_memory_equal(applied.y, trained.y, trained.out_count * sizeof(pl_bf16));
  assert_int_equal(applied.needs.saved_bytes + applied.needs.scratch_bytes, 0);
  assert_int_equal(trained.needs.saved_bytes, 2 * 2 * 40 * sizeof(float));
  assert_int_equal(trained.needs.scratch_bytes, 2 * 2 * 40 * sizeof(float));
  op_fixture_close(&trained);
  op_fixture_close(&applied);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_what_the_processor_gives),
      cmocka_unit_test(large_scores_do_no_harm),
      cmocka_unit_test(no_position_sees_later_ones),
      cmocka_unit_test(a_nan_stays_in_its_row_and_head),
      cmocka_unit_test(needs_no_more_than_said),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
