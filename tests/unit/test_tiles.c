/* What tile losses are made of: powers and products. */
#include <string.h>

#include "losses/tile_product.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/vexp.h"
#include "tests/check.h"

static float *random_floats(size_t n, uint64_t which) {
  float *values = pl_alloc(n, sizeof *values);
  assert_non_null(values);
  pl_random random = pl_random_stream(11, PL_RANDOM_TEST, 0, which, 0);
  for (size_t i = 0; i < n; i++) values[i] = pl_random_normal(&random);
  return values;
}

static void powers_are_within_rounding(void **state) {
  (void)state;
  double worst = 0;
  enum { STEPS = 1000000 };
  for (int i = 0; i < STEPS; i++) {
    float x = (float)(-126 + 253.4 * i / STEPS);
    double expected = exp2((double)x);
    double error = fabs((double)pl_exp2f(x) - expected) / expected;
    if (!(error <= worst)) worst = error;
  }
  CHECK_NEAR(worst, 0, 1.5 * 0x1p-23);
  assert_true(pl_exp2f(0) == 1);
  assert_true(pl_exp2f(-126) == 0x1p-126f);
  assert_true(pl_exp2f(-126.001f) == 0);
  assert_true(pl_exp2f(-1e30f) == 0);
  assert_true(pl_exp2f(-INFINITY) == 0);
  assert_true(isnan(pl_exp2f(NAN)));
  assert_true(isnan(pl_exp2f(-NAN)));
}

/* Vector code and its remainder must give the bits of the single call, at every length. */
static void powers_of_vectors_equal_single_ones(void **state) {
  (void)state;
  enum { N = 67 };
  float x[N], y[N];
  pl_random random = pl_random_stream(12, PL_RANDOM_TEST, 0, 0, 0);
  for (int n = 0; n <= N; n++) {
    for (int i = 0; i < n; i++) x[i] = 80 * pl_random_normal(&random);
#pragma omp simd
    for (int i = 0; i < n; i++) y[i] = pl_exp2f(x[i]);
    for (int i = 0; i < n; i++) {
      volatile float one = x[i];
      float single = pl_exp2f(one);
      assert_memory_equal(&y[i], &single, sizeof single);
    }
  }
}

/* One product with its naive counterpart in double precision. */
static void check_product(int rows, int other_rows, int inner, int cols, bool transposed,
                          bool accumulate) {
  const pl_tile_spec spec = {.rows = {rows, other_rows},
                             .inner = inner,
                             .cols = cols,
                             .out_stride = cols + 3,
                             .transposed = transposed,
                             .accumulate = accumulate,
                             .slots = 2};
  pl_tile_product *product;
  CHECK_OK(pl_tile_product_create(&spec, &product));
  float *right = random_floats((size_t)inner * (size_t)cols, 1);
  char *packed = pl_alloc(pl_tile_packed_bytes(product), 1);
  assert_non_null(packed);
  CHECK_OK(pl_tile_pack(product, 1, right, packed));
  for (int which = 0; which < PL_TILE_ROW_COUNTS && spec.rows[which] > 0; which++) {
    int m = spec.rows[which];
    float *left = random_floats((size_t)m * (size_t)inner, 2);
    float *before = random_floats((size_t)m * (size_t)spec.out_stride, 3);
    float *out = random_floats((size_t)m * (size_t)spec.out_stride, 3);
    CHECK_OK(pl_tile_run(product, which, m, left, packed, out));
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < cols; j++) {
        double sum = accumulate ? before[i * spec.out_stride + j] : 0;
        for (int k = 0; k < inner; k++)
          sum += (double)left[i * inner + k] *
                 (transposed ? right[j * inner + k] : right[k * cols + j]);
        CHECK_NEAR(out[i * spec.out_stride + j], sum, 2e-5 * sqrt(inner));
      }
      assert_memory_equal(&out[i * spec.out_stride + cols], &before[i * spec.out_stride + cols],
                          3 * sizeof *out);
    }
    pl_free(left);
    pl_free(before);
    pl_free(out);
  }
  pl_free(right);
  pl_free(packed);
  pl_tile_product_destroy(&product);
  assert_null(product);
}

static void products_match_naive_ones(void **state) {
  (void)state;
  const int shapes[][4] = {{1, 0, 1, 1},    {2, 1, 5, 2},    {16, 7, 33, 17},
                           {64, 37, 48, 5}, {31, 30, 1, 80}, {128, 0, 64, 96}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    for (int kind = 0; kind < 4; kind++)
      check_product(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], kind & 1, kind & 2);
}

static void product_refuses_other_row_counts(void **state) {
  (void)state;
  const pl_tile_spec spec = {.rows = {4}, .inner = 2, .cols = 2, .out_stride = 2, .slots = 1};
  float values[8] = {0};
  pl_tile_product *product;
  CHECK_OK(pl_tile_product_create(&spec, &product));
  CHECK_FAILS(PL_E_INTERNAL, "no kernel for 3 rows",
              pl_tile_run(product, 0, 3, values, values, values));
  pl_tile_product_destroy(&product);
  pl_tile_product_destroy(&product);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(powers_are_within_rounding),
      cmocka_unit_test(powers_of_vectors_equal_single_ones),
      cmocka_unit_test(products_match_naive_ones),
      cmocka_unit_test(product_refuses_other_row_counts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
