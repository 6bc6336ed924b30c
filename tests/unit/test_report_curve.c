/* launch/report: curves and axes before they are drawn. */
#include <string.h>

#include "launch/report/curve.h"
#include "runtime/base/random.h"
#include "tests/check.h"

enum { MOST = 5000 };

static pl_curve curve_of(const double *y, int64_t count) {
  static double x[MOST];
  for (int64_t i = 0; i < count; i++) x[i] = (double)i;
  pl_curve curve = {.count = 0};
  CHECK_OK(pl_curve_from(x, y, count, &curve));
  return curve;
}

static void gaps(void **state) {
  (void)state;
  const double y[] = {NAN, 1, 2, NAN, NAN, 3, 4, NAN};
  pl_curve curve = curve_of(y, 8);
  assert_int_equal(curve.count, 4);
  assert_true(curve.x[0] == 1 && curve.x[2] == 5 && curve.y[2] == 3);
  assert_true(curve.starts[0] && !curve.starts[1] && curve.starts[2] && !curve.starts[3]);
  pl_curve_free(&curve);
}

/* A figure of every tenth step, and of the last one, has no gaps. */
static void sparse(void **state) {
  (void)state;
  double y[MOST];
  for (int i = 0; i < 1000; i++) y[i] = i % 10 == 0 || i == 999 ? i : NAN;
  pl_curve curve = curve_of(y, 1000);
  assert_int_equal(curve.count, 101);
  for (int i = 1; i < 101; i++) assert_false(curve.starts[i]);
  pl_curve_free(&curve);
}

static void no_points(void **state) {
  (void)state;
  const double y[] = {NAN, INFINITY};
  pl_curve curve = curve_of(y, 2), out = {.count = 0};
  assert_int_equal(curve.count, 0);
  CHECK_OK(pl_curve_smooth(&curve, 5, &out));
  assert_int_equal(out.count, 0);
  pl_curve_free(&out);
  CHECK_OK(pl_curve_thin(&curve, 0, 1, 10, &out));
  assert_int_equal(out.count, 0);
  pl_curve_free(&out);
  pl_curve_free(&curve);
}

/* Against sums that are taken anew for each point. */
static void smoothing(void **state) {
  (void)state;
  enum { COUNT = 300, WINDOW = 21, GAP = 120 };
  double y[COUNT];
  pl_random random = pl_random_stream(1, PL_RANDOM_TEST, 0, 0, 0);
  for (int i = 0; i < COUNT; i++) y[i] = (double)(pl_random_bits(&random) % 1000) / 100;
  for (int i = GAP; i < GAP + 5; i++) y[i] = NAN;
  pl_curve curve = curve_of(y, COUNT), mean = {.count = 0};
  CHECK_OK(pl_curve_smooth(&curve, WINDOW, &mean));
  assert_int_equal(mean.count, COUNT - 5);
  for (int64_t i = 0; i < mean.count; i++) {
    int64_t first = i < GAP ? 0 : GAP, end = i < GAP ? GAP : mean.count;
    int64_t reach = i - first < WINDOW / 2 ? i - first : WINDOW / 2;
    double sum = 0;
    int64_t counted = 0;
    for (int64_t k = i - reach; k <= i + reach && k < end; k++, counted++) sum += curve.y[k];
    CHECK_NEAR(mean.y[i], sum / (double)counted, 1e-12);
    assert_true(mean.x[i] == curve.x[i]);
    assert_int_equal(mean.starts[i], curve.starts[i]);
  }
  pl_curve_free(&mean);
  pl_curve_free(&curve);
}

/* After a spike of any height, means are as exact as before it. */
static void smoothing_after_spike(void **state) {
  (void)state;
  double y[100];
  for (int i = 0; i < 100; i++) y[i] = i == 50 ? 1e30 : 0.5;
  pl_curve curve = curve_of(y, 100), mean = {.count = 0};
  CHECK_OK(pl_curve_smooth(&curve, 5, &mean));
  for (int i = 0; i < 100; i++) {
    if (i < 48 || i > 52) assert_true(mean.y[i] == 0.5);
  }
  pl_curve_free(&mean);
  pl_curve_free(&curve);
}

/* A spike of one step survives, and so does each bucket's reach. */
static void thinning(void **state) {
  (void)state;
  enum { BUCKETS = 50 };
  double y[MOST];
  pl_random random = pl_random_stream(2, PL_RANDOM_TEST, 0, 0, 0);
  for (int i = 0; i < MOST; i++) y[i] = (double)(pl_random_bits(&random) % 1000);
  y[1234] = 5000;
  y[4321] = -5000;
  pl_curve curve = curve_of(y, MOST), thin = {.count = 0};
  CHECK_OK(pl_curve_thin(&curve, 0, MOST, BUCKETS, &thin));
  assert_int_equal(thin.count, 2 * BUCKETS);
  for (int b = 0; b < BUCKETS; b++) {
    double low = INFINITY, high = -INFINITY;
    for (int i = b * (MOST / BUCKETS); i < (b + 1) * (MOST / BUCKETS); i++) {
      low = fmin(low, y[i]);
      high = fmax(high, y[i]);
    }
    assert_true(fmin(thin.y[2 * b], thin.y[2 * b + 1]) == low);
    assert_true(fmax(thin.y[2 * b], thin.y[2 * b + 1]) == high);
    assert_true(thin.x[2 * b] < thin.x[2 * b + 1]);
  }
  pl_curve_free(&thin);
  pl_curve_free(&curve);
}

static void check_axis(const pl_axis *axis, const char *expected) {
  char all[PL_AXIS_TICKS * PL_AXIS_LABEL] = "", label[PL_AXIS_LABEL];
  for (int i = 0; i < axis->ticks; i++) {
    pl_axis_label(axis, i, label);
    snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? " " : "", label);
  }
  assert_string_equal(all, expected);
}

static void check_linear(double low, double high, bool widen, const char *expected) {
  pl_axis axis = pl_axis_linear(low, high, 4, widen);
  check_axis(&axis, expected);
  assert_true(axis.low < axis.high);
  if (widen) assert_true(axis.low <= low && axis.high >= high);
}

static void linear_axes(void **state) {
  (void)state;
  check_linear(4.1, 7.06, true, "4 5 6 7 8");
  check_linear(0.41, 1.18, true, "0.4 0.6 0.8 1.0 1.2");
  check_linear(0, 2930, false, "0 1000 2000");
  check_linear(0, 29300, true, "0 10k 20k 30k");
  check_linear(9900, 11200, true, "9.5k 10.0k 10.5k 11.0k 11.5k");
  check_linear(0, 7e6, true, "0 2M 4M 6M 8M");
  check_linear(-3.6, -1.2, true,
               "\xE2\x88\x92"
               "4 \xE2\x88\x92"
               "3 \xE2\x88\x92"
               "2 \xE2\x88\x92"
               "1");
  check_linear(0, 3.5e-5, true,
               "0 1e\xE2\x88\x92"
               "5 2e\xE2\x88\x92"
               "5 3e\xE2\x88\x92"
               "5 4e\xE2\x88\x92"
               "5");
  check_linear(0, 0, true,
               "\xE2\x88\x92"
               "1.0 \xE2\x88\x92"
               "0.5 0 0.5 1.0");
  check_linear(5, 5, true, "4.5 5.0 5.5");
}

static void log_axes(void **state) {
  (void)state;
  pl_axis axis = pl_axis_log(0.02, 30);
  check_axis(&axis, "0.1 1 10");
  CHECK_NEAR(pl_axis_place(&axis, 0.02), 0, 1e-12);
  CHECK_NEAR(pl_axis_place(&axis, 30), 1, 1e-12);
  CHECK_NEAR(pl_axis_place(&axis, sqrt(0.02 * 30)), 0.5, 1e-12);
  axis = pl_axis_log(3, 400);
  check_axis(&axis, "5 10 20 50 100 200");
  axis = pl_axis_log(1e-5, 20000);
  check_axis(&axis,
             "1e\xE2\x88\x92"
             "5 0.001 0.1 10 1000");
  axis = pl_axis_log(1e-38, 1e38); /* all that a float holds */
  assert_in_range(axis.ticks, 5, PL_AXIS_TICKS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gaps),
      cmocka_unit_test(sparse),
      cmocka_unit_test(no_points),
      cmocka_unit_test(smoothing),
      cmocka_unit_test(smoothing_after_spike),
      cmocka_unit_test(thinning),
      cmocka_unit_test(linear_axes),
      cmocka_unit_test(log_axes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
