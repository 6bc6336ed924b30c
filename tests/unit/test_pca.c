/* models/pca: the plane of most variance, against what the rows were made of. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "models/pca.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "tests/check.h"

/* What the rows are made of: unit directions at right angles to each other. */
static void make_directions(pl_random *random, int width, int count, double *direction) {
  for (int a = 0; a < count; a++) {
    double *v = direction + a * width, square = 0;
    for (int j = 0; j < width; j++) v[j] = (double)pl_random_normal(random);
    for (int b = 0; b < a; b++) {
      double along = 0;
      for (int j = 0; j < width; j++) along += v[j] * direction[b * width + j];
      for (int j = 0; j < width; j++) v[j] -= along * direction[b * width + j];
    }
    for (int j = 0; j < width; j++) square += v[j] * v[j];
    for (int j = 0; j < width; j++) v[j] /= sqrt(square);
  }
}

static double entry_of_largest_size(const double *axis, int width) {
  double largest = 0;
  for (int j = 0; j < width; j++) largest = fabs(axis[j]) > fabs(largest) ? axis[j] : largest;
  return largest;
}

/* Pairs of rows at mean ± deviation * direction: their covariance is known without estimating. */
enum { DIRECTIONS = 4 };
static const double deviations[DIRECTIONS] = {1, 3, 0.25, 2};

static float *make_pairs(int width, double *direction) {
  pl_random random = pl_random_stream(7, PL_RANDOM_TEST, 0, (uint64_t)width, 0);
  float *rows = pl_alloc(2 * DIRECTIONS * (size_t)width, sizeof *rows);
  assert_non_null(rows);
  make_directions(&random, width, DIRECTIONS, direction);
  for (int i = 0; i < 2 * DIRECTIONS; i++) {
    int a = i / 2;
    double sign = i % 2 ? -1 : 1;
    for (int j = 0; j < width; j++) {
      rows[i * width + j] = (float)(0.5 + sign * deviations[a] * direction[a * width + j]);
    }
  }
  return rows;
}

/* Variances 9, 4, 1 and 1/16 (each divided by DIRECTIONS): shares and axes are known. The rows are
 * rounded to float. */
static void known_covariance(void **state) {
  (void)state;
  const int widths[] = {4, 5, 33, 512};
  const double whole = 9 + 4 + 1 + 0.0625;
  for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
    int width = widths[w];
    static double direction[DIRECTIONS * 512];
    float *rows = make_pairs(width, direction);
    pl_pca pca;
    CHECK_OK(pl_pca_compute(rows, 2 * DIRECTIONS, width, &pca));
    CHECK_NEAR(pca.share[0], 9 / whole, 1e-6);
    CHECK_NEAR(pca.share[1], 4 / whole, 1e-6);
    const int source[PL_PCA_AXES] = {1, 3};
    for (int a = 0; a < PL_PCA_AXES; a++) {
      const double *axis = pca.axis + a * width, *made_of = direction + source[a] * width;
      double sign = entry_of_largest_size(made_of, width) < 0 ? -1 : 1;
      assert_true(entry_of_largest_size(axis, width) > 0);
      for (int j = 0; j < width; j++) CHECK_NEAR(axis[j], sign * made_of[j], 1e-6);
      for (int i = 0; i < 2 * DIRECTIONS; i++) {
        double expected = i / 2 == source[a] ? deviations[source[a]] * (i % 2 ? -sign : sign) : 0;
        CHECK_NEAR(pca.points[i * PL_PCA_AXES + a], expected, 1e-6);
      }
    }
    pl_pca_free(&pca);
    pl_free(rows);
  }
}

/* A spectrum that falls slowly, where only an axis of the true covariance passes: C axis = variance
 * axis, points are the projections, and no direction tried has more variance. */
static void slow_spectrum(void **state) {
  (void)state;
  enum { COUNT = 300, WIDTH = 100 };
  static float rows[COUNT * WIDTH];
  static double centred[COUNT * WIDTH];
  pl_random random = pl_random_stream(8, PL_RANDOM_TEST, 0, 0, 0);
  double whole = 0;
  for (int i = 0; i < COUNT * WIDTH; i++) {
    rows[i] = pl_random_normal(&random) * powf(0.98F, (float)(i % WIDTH)) + (float)(i % 7);
  }
  for (int j = 0; j < WIDTH; j++) {
    double mean = 0;
    for (int i = 0; i < COUNT; i++) mean += (double)rows[i * WIDTH + j] / COUNT;
    for (int i = 0; i < COUNT; i++) {
      centred[i * WIDTH + j] = rows[i * WIDTH + j] - mean;
      whole += centred[i * WIDTH + j] * centred[i * WIDTH + j] / COUNT;
    }
  }
  pl_pca pca;
  CHECK_OK(pl_pca_compute(rows, COUNT, WIDTH, &pca));
  for (int a = 0; a < PL_PCA_AXES; a++) {
    const double *axis = pca.axis + a * WIDTH;
    double image[WIDTH] = {0}, square = 0;
    for (int i = 0; i < COUNT; i++) {
      double along = 0;
      for (int j = 0; j < WIDTH; j++) along += centred[i * WIDTH + j] * axis[j];
      for (int j = 0; j < WIDTH; j++) image[j] += centred[i * WIDTH + j] * along / COUNT;
      CHECK_NEAR(pca.points[i * PL_PCA_AXES + a], along, 1e-10);
    }
    for (int j = 0; j < WIDTH; j++) {
      square += axis[j] * axis[j];
      CHECK_NEAR(image[j], pca.share[a] * whole * axis[j], 1e-10);
    }
    CHECK_NEAR(square, 1, 1e-12);
  }
  for (int tries = 0; tries < 200; tries++) {
    double along[WIDTH], square = 0, variance = 0;
    for (int j = 0; j < WIDTH; j++) {
      along[j] = pca.axis[j] + 0.1 * (double)pl_random_normal(&random);
      square += along[j] * along[j];
    }
    for (int i = 0; i < COUNT; i++) {
      double at = 0;
      for (int j = 0; j < WIDTH; j++) at += centred[i * WIDTH + j] * along[j];
      variance += at * at / COUNT / square;
    }
    assert_true(variance < pca.share[0] * whole);
  }
  pl_pca_free(&pca);
}

/* The leading direction lies in many dimensions of little variance each, none of which is among the
 * largest. */
static void spread_over_many_dimensions(void **state) {
  (void)state;
  enum { COUNT = 64, WIDTH = 64, ALONE = 10 };
  static float rows[COUNT * WIDTH];
  for (int i = 0; i < COUNT; i++) {
    for (int j = 0; j < WIDTH; j++) {
      /* rows of a Hadamard matrix: every two dimensions are uncorrelated */
      int walsh = j < ALONE ? j + 1 : ALONE + 1;
      rows[i * WIDTH + j] =
          (__builtin_popcount((unsigned)(i & walsh)) % 2 ? -1.0F : 1.0F) * (j < ALONE ? 1 : 0.5F);
    }
  }
  pl_pca pca;
  CHECK_OK(pl_pca_compute(rows, COUNT, WIDTH, &pca));
  const double many = (WIDTH - ALONE) * 0.25;
  CHECK_NEAR(pca.share[0], many / (many + ALONE), 1e-12);
  for (int j = 0; j < WIDTH; j++) {
    CHECK_NEAR(pca.axis[j], j < ALONE ? 0 : sqrt(1.0 / (WIDTH - ALONE)), 1e-12);
  }
  pl_pca_free(&pca);
}

/* Nothing to see: shares, axes and points are exactly zero. */
static void check_nothing(const float *rows, int64_t count, int width, int from_axis) {
  pl_pca pca;
  CHECK_OK(pl_pca_compute(rows, count, width, &pca));
  for (int a = from_axis; a < PL_PCA_AXES; a++) {
    assert_true(pca.share[a] == 0);
    for (int j = 0; j < width; j++) assert_true(pca.axis[a * width + j] == 0);
    for (int64_t i = 0; i < count; i++) assert_true(pca.points[i * PL_PCA_AXES + a] == 0);
  }
  pl_pca_free(&pca);
  assert_null(pca.axis);
  assert_null(pca.points);
}

static void degenerate_input(void **state) {
  (void)state;
  enum { COUNT = 100, WIDTH = 19 };
  static float equal[COUNT * WIDTH], line[COUNT * WIDTH], single[COUNT];
  for (int i = 0; i < COUNT; i++) {
    for (int j = 0; j < WIDTH; j++) {
      equal[i * WIDTH + j] = 0.1F + 0.01F * (float)j;
      line[i * WIDTH + j] = (float)(i * (j + 1));
    }
    single[i] = (float)(i % 10);
  }
  check_nothing(NULL, 0, WIDTH, 0);
  check_nothing(equal, 1, WIDTH, 0);
  check_nothing(equal, 2, WIDTH, 0);
  check_nothing(equal, COUNT, WIDTH, 0);
  check_nothing(line, COUNT, WIDTH, 1);
  check_nothing(line, 2, WIDTH, 1);
  check_nothing(single, COUNT, 1, 1);
  static const float zeros[COUNT * WIDTH];
  check_nothing(zeros, COUNT, WIDTH, 0);

  pl_pca pca;
  CHECK_OK(pl_pca_compute(single, COUNT, 1, &pca));
  CHECK_NEAR(pca.share[0], 1, 1e-12);
  CHECK_NEAR(pca.axis[0], 1, 1e-12);
  for (int i = 0; i < COUNT; i++) {
    CHECK_NEAR(pca.points[i * PL_PCA_AXES], single[i] - 4.5, 1e-12);
  }
  pl_pca_free(&pca);
  CHECK_OK(pl_pca_compute(line, COUNT, WIDTH, &pca));
  CHECK_NEAR(pca.share[0], 1, 1e-12);
  pl_pca_free(&pca);
}

static void same_bits_on_any_number_of_threads(void **state) {
  (void)state;
  enum { COUNT = 257, WIDTH = 70 };
  static float rows[COUNT * WIDTH + 1];
  pl_random random = pl_random_stream(9, PL_RANDOM_TEST, 0, 0, 0);
  for (int i = 0; i < COUNT * WIDTH; i++) rows[i] = pl_random_normal(&random);
  pl_pca first;
  CHECK_OK(pl_pca_compute(rows, COUNT, WIDTH, &first));
  int before = omp_get_max_threads();
  for (int threads = 1; threads <= 4; threads++) {
    omp_set_num_threads(threads);
    /* on odd numbers of threads from another address */
    float *at = rows + threads % 2;
    memmove(at, rows + 1 - threads % 2, COUNT * WIDTH * sizeof *rows);
    pl_pca again;
    CHECK_OK(pl_pca_compute(at, COUNT, WIDTH, &again));
    assert_memory_equal(again.share, first.share, sizeof first.share);
    assert_memory_equal(again.axis, first.axis, PL_PCA_AXES * WIDTH * sizeof *first.axis);
    assert_memory_equal(again.points, first.points, PL_PCA_AXES * COUNT * sizeof *first.points);
    pl_pca_free(&again);
  }
  omp_set_num_threads(before);
  pl_pca_free(&first);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_covariance),
      cmocka_unit_test(slow_spectrum),
      cmocka_unit_test(spread_over_many_dimensions),
      cmocka_unit_test(degenerate_input),
      cmocka_unit_test(same_bits_on_any_number_of_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
