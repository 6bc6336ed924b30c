/* losses/clip on one process: against PyTorch, its memory, its logarithm. */
#include <string.h>

#include "losses/clip.h"
#include "losses/vlog.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "tests/check.h"

static void logarithms_are_within_rounding(void **state) {
  (void)state;
  double worst = 0;
  enum { STEPS = 1000000 };
  for (int i = 1; i <= STEPS; i++) {
    float x = (float)i / STEPS;
    double expected = log1p((double)x);
    double error = fabs((double)pl_log1pf(x) - expected) / expected;
    if (!(error <= worst)) worst = error;
  }
  CHECK_NEAR(worst, 0, 2 * 0x1p-23);
  assert_true(pl_log1pf(0) == 0);
  assert_true(pl_log1pf(0x1p-126f) == 0x1p-126f);
  assert_true(isnan(pl_log1pf(NAN)));
}

/* Reads the next n bytes of the stored references. */
static void take(const char **from, const char *end, void *to, size_t n) {
  assert_true((size_t)(end - *from) >= n);
  memcpy(to, *from, n);
  *from += n;
}

/* n values of the stored references. */
static void *take_new(const char **from, const char *end, size_t n, size_t size) {
  void *values = pl_alloc(n, size);
  assert_non_null(values);
  take(from, end, values, n * size);
  return values;
}

/* Within 1e-5 of the largest element. */
static void check_gradient(const float *d, const double *expected, size_t n) {
  double largest = 0;
  for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(expected[i]));
  for (size_t i = 0; i < n; i++) CHECK_NEAR(d[i] / largest, expected[i] / largest, 1e-5);
}

typedef struct case_head {
  int32_t kind, leaf_pairs, leaves, width;
  double log_scale, bias, loss, accuracy, alignment, uniformity, dlog_scale, dbias;
} case_head;

/* The rounding of a similarity is amplified by the scale. */
static void check_figures(const case_head *head, const pl_contrast_figures *figures,
                          double dlog_scale, double dbias) {
  CHECK_NEAR(figures->loss, head->loss, 1e-5);
  CHECK_NEAR(figures->accuracy, head->accuracy, 1e-12);
  CHECK_NEAR(figures->alignment, head->alignment, 1e-6);
  CHECK_NEAR(figures->uniformity, head->uniformity, 1e-6);
  CHECK_NEAR(dlog_scale, head->dlog_scale, 1e-5);
  CHECK_NEAR(dbias, head->dbias, 1e-6);
}

static void check_case(pl_comm *comm, const char **at, const char *end) {
  case_head head;
  take(at, end, &head, sizeof head);
  size_t n = (size_t)head.leaf_pairs * (size_t)head.leaves * (size_t)head.width;
  float *x = take_new(at, end, n, sizeof *x), *y = take_new(at, end, n, sizeof *y);
  double *expected_dx = take_new(at, end, n, sizeof *expected_dx);
  double *expected_dy = take_new(at, end, n, sizeof *expected_dy);
  float *dx = pl_alloc(n, sizeof *dx), *dy = pl_alloc(n, sizeof *dy);
  assert_true(dx && dy);

  const pl_pair_options options = {
      .width = head.width, .leaf_rows = head.leaf_pairs, .leaves = head.leaves};
  pl_contrast_figures figures;
  double dlog_scale, dbias;
  pl_clip_loss *loss;
  CHECK_OK(
      pl_clip_loss_create(comm, head.kind ? PL_CLIP_SIGMOID : PL_CLIP_SOFTMAX, &options, &loss));
  CHECK_OK(
      pl_clip(loss, x, y, head.log_scale, head.bias, true, &figures, dx, dy, &dlog_scale, &dbias));
  check_figures(&head, &figures, dlog_scale, dbias);
  check_gradient(dx, expected_dx, n);
  check_gradient(dy, expected_dy, n);
  pl_clip_loss_destroy(&loss);
  pl_free(x);
  pl_free(y);
  pl_free(dx);
  pl_free(dy);
  pl_free(expected_dx);
  pl_free(expected_dy);
}

/* The file is written by tests/parity/clip_reference.py, which describes its layout. */
static void both_equal_pytorch(void **state) {
  char *text;
  size_t size;
  CHECK_OK(pl_read_file(PL_TEST_FOLDER "/../parity/clip/cases.bin", 1 << 20, &text, &size));
  const char *at = text, *end = text + size;
  int cases = 0;
  for (; at < end; cases++) check_case(*state, &at, end);
  assert_int_equal(cases, 6);
  pl_free(text);
}

/* A batch of one pair has no other: CLIP's loss is 0, and so is every slope. */
static void one_pair_alone_is_right(void **state) {
  const pl_pair_options options = {.width = 2, .leaf_rows = 1, .leaves = 1};
  const float x[] = {1, 0}, y[] = {0.6f, 0.8f};
  float dx[2], dy[2];
  double dlog_scale, dbias;
  pl_contrast_figures figures;
  pl_clip_loss *loss;
  CHECK_OK(pl_clip_loss_create(*state, PL_CLIP_SOFTMAX, &options, &loss));
  CHECK_OK(pl_clip(loss, x, y, 2, 0, true, &figures, dx, dy, &dlog_scale, &dbias));
  assert_true(figures.loss == 0 && figures.accuracy == 1 && isnan(figures.uniformity));
  assert_true(dlog_scale == 0 && dbias == 0);
  for (int k = 0; k < 2; k++) assert_true(dx[k] == 0 && dy[k] == 0);
  pl_clip_loss_destroy(&loss);
}

/* Both sweeps take turns in one copy of the columns: two and a bit embeddings of one kind, where
 * the caller's own rows and gradients take four. */
static void memory_is_linear(void **state) {
  const pl_pair_options options = {.width = 512, .leaf_rows = 64, .leaves = 512};
  size_t embeddings = (size_t)32768 * 512 * sizeof(float);
  pl_clip_loss *loss;
  CHECK_OK(pl_clip_loss_create(*state, PL_CLIP_SOFTMAX, &options, &loss));
  assert_true(pl_clip_loss_bytes(loss) >= 2 * embeddings);
  assert_true(pl_clip_loss_bytes(loss) <= 5 * embeddings / 2);
  pl_clip_loss_destroy(&loss);
}

static int start(void **state) {
  pl_comm *comm;
  if (pl_comm_create_self(&comm) != PL_OK) return -1;
  *state = comm;
  return 0;
}

static int stop(void **state) {
  pl_comm *comm = *state;
  pl_comm_destroy(&comm);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(logarithms_are_within_rounding),
      cmocka_unit_test(both_equal_pytorch),
      cmocka_unit_test(one_pair_alone_is_right),
      cmocka_unit_test(memory_is_linear),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
