/* NT-Xent on a device, in both types of products, against the naive version. What bf16 is compared
 * with is the naive loss of the rounded embeddings: then only weights are rounded besides. Built
 * twice, as test_cuda_ops.c. */
#include "runtime/base/account.h"
#include "runtime/cuda/cuda.h"
#include "runtime/tensor/dtype.h"
#include "tests/dist/ntxent_naive.h"
#include "tests/unit/cuda_test.h"

typedef struct solution {
  pl_contrast_figures figures;
  float *dz; /* (rows, width) */
} solution;

static size_t floats_of(const problem *p) { return (size_t)(rows_of(p) * p->width); }

static pl_pair_options on_device(const problem *p, pl_dtype type) {
  pl_pair_options options = options_of(p);
  options.device = pl_cuda_backend()->device;
  options.type = type;
  return options;
}

static float *make_batch_of(const problem *p, pl_dtype type) {
  float *z = make_batch(p);
  for (size_t i = 0; type == PL_BF16 && i < floats_of(p); i++)
    z[i] = pl_bf16_to_f32(pl_f32_to_bf16(z[i]));
  return z;
}

/* Twice: the second step finds buffers full of the first one's numbers. */
static solution solve(pl_comm *comm, const problem *p, pl_dtype type, const float *z) {
  const pl_pair_options options = on_device(p, type);
  solution found = {.dz = pl_alloc(floats_of(p), sizeof *found.dz)};
  float *first = pl_alloc(floats_of(p), sizeof *first);
  size_t bytes = floats_of(p) * sizeof *first;
  void *z_there = cuda_test_place(z, bytes), *dz_there = cuda_test_place(NULL, bytes);
  assert_true(found.dz && first);
  pl_pair_sweep *sweep;
  CHECK_OK(pl_pair_sweep_create(comm, &options, &sweep));
  for (int step = 0; step < 2; step++) {
    CHECK_OK(
        pl_ntxent(sweep, z_there, p->leaf_samples, p->temperature, true, &found.figures, dz_there));
    CHECK_OK(options.device->get(step == 0 ? first : found.dz, dz_there, bytes));
  }
  assert_memory_equal(first, found.dz, bytes);
  options.device->release(z_there);
  options.device->release(dz_there);
  pl_pair_sweep_destroy(&sweep);
  pl_free(first);
  return found;
}

/* Loss within 1e-5 of itself in both types. So is the gradient in f32, of its largest element and
 * of its length, but that rounding of a similarity is amplified by 1/τ: at 0.01 it allows no more
 * than 3e-5. In bf16 weights are rounded. */
static void check_naive(pl_comm *comm, const problem *p, pl_dtype type) {
  const double tolerance = 1e-5;
  const double slack = type == PL_BF16 ? 5e-3 : p->temperature < 0.05 ? 3e-5 : 1e-5;
  float *z = make_batch_of(p, type);
  double *expected_dz = pl_alloc(floats_of(p), sizeof *expected_dz);
  double largest = 0, length = 0, distance = 0;
  assert_non_null(expected_dz);
  pl_contrast_figures expected = naive(p, z, expected_dz);
  solution found = solve(comm, p, type, z);
  CHECK_NEAR(found.figures.loss / expected.loss, 1, tolerance);
  CHECK_NEAR(found.figures.accuracy, expected.accuracy, 1e-12);
  CHECK_NEAR(found.figures.alignment, expected.alignment, 1e-6);
  CHECK_NEAR(found.figures.uniformity, expected.uniformity, 1e-6);
  for (size_t i = 0; i < floats_of(p); i++) largest = fmax(largest, fabs(expected_dz[i]));
  for (size_t i = 0; i < floats_of(p); i++) {
    CHECK_NEAR(found.dz[i] / largest, expected_dz[i] / largest, slack);
    length += expected_dz[i] * expected_dz[i];
    distance += pow((double)found.dz[i] - expected_dz[i], 2);
  }
  CHECK_NEAR(sqrt(distance), 0, slack * sqrt(length));
  pl_free(z);
  pl_free(found.dz);
  pl_free(expected_dz);
}

static void in_each_type(pl_comm *comm, const problem *p) {
  check_naive(comm, p, PL_F32);
  check_naive(comm, p, PL_BF16);
}

/* Tiles that end anywhere: with their leaf and the batch or before, one row or one column wide. */
static void equals_the_naive_version(void **state) {
  const problem problems[] = {
      {1, 9, 5, 1, 3, 0.1, 1},      {3, 5, 1, 0, 0, 0.2, 0.5},     {3, 5, 16, 2, 29, 0.2, 0.5},
      {21, 3, 130, 0, 125, 0.1, 2}, {16, 5, 33, 8, 64, 0.07, 0.7}, {2, 3, 7, 3, 1, 0.5, 1},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
    in_each_type(*state, &problems[i]);
}

static void extreme_temperatures_do_not_overflow(void **state) {
  const problem problems[] = {{5, 4, 16, 4, 16, 0.01, 1},
                              {5, 4, 16, 4, 16, 0.01, 0.1},
                              {5, 4, 16, 0, 0, 100, 1},
                              {3, 5, 256, 7, 12, 0.01, 1}};
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
    in_each_type(*state, &problems[i]);
}

/* Where positives have won, loss and gradient are tiny; both must keep their digits. */
static void small_losses_keep_their_digits(void **state) {
  const problem p = {4, 4, 64, 0, 10, 0.05, 0.02};
  float *z = make_batch_of(&p, PL_F32);
  solution found = solve(*state, &p, PL_F32, z);
  assert_true(found.figures.loss > 0 && found.figures.loss < 1e-3);
  assert_true(found.figures.accuracy == 1);
  check_naive(*state, &p, PL_F32);
  pl_free(found.dz);
  pl_free(z);
}

/* One sample has no negatives: nothing to learn, and no NaN. */
static void one_sample_has_no_loss(void **state) {
  const problem p = {1, 1, 8, 0, 0, 0.1, 1};
  float *z = make_batch_of(&p, PL_F32);
  solution found = solve(*state, &p, PL_F32, z);
  assert_true(found.figures.loss == 0);
  for (size_t i = 0; i < floats_of(&p); i++) assert_true(found.dz[i] == 0);
  pl_free(found.dz);
  pl_free(z);
}

static void bad_embeddings_reach_the_loss(void **state) {
  const float bad[] = {NAN, INFINITY, -INFINITY};
  const problem p = {3, 4, 8, 2, 7, 0.5, 0.5};
  for (int i = 0; i < 6; i++) {
    float *z = make_batch_of(&p, PL_F32);
    z[i % 2 ? floats_of(&p) - 1 : 0] = bad[i / 2];
    solution found = solve(*state, &p, i < 3 ? PL_F32 : PL_BF16, z);
    assert_false(isfinite(found.figures.loss));
    pl_free(found.dz);
    pl_free(z);
  }
}

/* What is held on the device for losses. */
static size_t held(void) {
  pl_memory_figures figures;
  pl_account_read(&figures);
  return figures.now[PL_ON_DEVICE][PL_MEMORY_LOSS];
}

/* The same of a sweep of one of `ranks` ranks, without having it. */
static size_t planned(const pl_pair_options *given, int ranks) {
  pl_pair_options options = *given;
  pl_comm *comm = NULL;
  pl_pair_sweep *sweep = NULL;
  pl_memory_figures figures;
  options.device = pl_cuda_planning_backend()->device;
  CHECK_OK(pl_account_plan_begin());
  CHECK_OK(pl_comm_create_pretended(ranks, 0, &comm));
  CHECK_OK(pl_pair_sweep_create(comm, &options, &sweep));
  pl_pair_sweep_destroy(&sweep);
  pl_comm_destroy(&comm);
  pl_account_plan_end(&figures);
  return figures.peak[PL_ON_DEVICE][PL_MEMORY_LOSS];
}

/* Bytes are known before they are had, and what a sweep tells is what it has. */
static void memory_is_as_planned(void **state) {
  const problem p = {4, 4, 16, 0, 10, 0.05, 1};
  for (int i = 0; i < 2; i++) {
    const pl_pair_options options = on_device(&p, i ? PL_BF16 : PL_F32);
    pl_pair_sweep *sweep, *mirror;
    size_t before = held();
    CHECK_OK(pl_pair_sweep_create(*state, &options, &sweep));
    size_t of_sweep = held() - before;
    CHECK_OK(pl_pair_sweep_create_mirror(sweep, &mirror));
    size_t of_mirror = held() - before - of_sweep;
    assert_int_equal(of_sweep, planned(&options, 1));
    assert_int_equal(of_mirror, floats_of(&p) * pl_dtype_bytes(options.type));
    assert_true(pl_pair_sweep_bytes(sweep) > of_sweep);
    assert_true(pl_pair_sweep_bytes(mirror) > of_mirror);
    pl_pair_sweep_destroy(&mirror);
    pl_pair_sweep_destroy(&sweep);
    assert_int_equal(held(), before);
  }
}

static void memory_grows_with_batch_times_width(void **state) {
  (void)state;
  const pl_pair_options large = {.type = PL_BF16, .width = 512, .leaf_rows = 512, .leaves = 128};
  const size_t embeddings = (size_t)65536 * 512 * sizeof(float);
  assert_true(planned(&large, 1) < 2 * embeddings);
  assert_true(planned(&large, 4) < embeddings * 5 / 4);
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
      cmocka_unit_test(equals_the_naive_version),
      cmocka_unit_test(extreme_temperatures_do_not_overflow),
      cmocka_unit_test(small_losses_keep_their_digits),
      cmocka_unit_test(one_sample_has_no_loss),
      cmocka_unit_test(bad_embeddings_reach_the_loss),
      cmocka_unit_test(memory_is_as_planned),
      cmocka_unit_test(memory_grows_with_batch_times_width),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, start, stop);
  pl_cuda_close();
  return failures;
}
