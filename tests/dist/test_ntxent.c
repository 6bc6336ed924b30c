/* ntxent over ranks: against a naive version in double precision over the whole batch, against
 * finite differences, and bit for bit against one process that holds the whole batch. */
#include <string.h>

#include "runtime/base/threads.h"
#include "tests/dist/ntxent_naive.h"
#include "tests/dist/ranks.h"

typedef struct solution {
  pl_contrast_figures figures;
  float *dz; /* (local rows, width) */
} solution;

/* Runs this rank's part of the batch. The caller frees dz. */
static solution solve(pl_comm *comm, const problem *p, const float *batch) {
  const pl_pair_options options = options_of(p);
  solution found;
  pl_pair_sweep *sweep;
  CHECK_OK(pl_pair_sweep_create(comm, &options, &sweep));
  const float *z = batch + pl_pair_first_row(sweep) * p->width;
  found.dz = pl_alloc((size_t)(pl_pair_local_rows(sweep) * p->width), sizeof *found.dz);
  assert_non_null(found.dz);
  CHECK_OK(pl_ntxent(sweep, z, p->leaf_samples, p->temperature, true, &found.figures, found.dz));
  pl_pair_sweep_destroy(&sweep);
  return found;
}

static void place_of(pl_comm *comm, const problem *p, int64_t *first, int64_t *count) {
  const pl_pair_options options = options_of(p);
  pl_pair_sweep *sweep;
  CHECK_OK(pl_pair_sweep_create(comm, &options, &sweep));
  *first = pl_pair_first_row(sweep);
  *count = pl_pair_local_rows(sweep);
  pl_pair_sweep_destroy(&sweep);
}

/* Loss within `tolerance` of itself, gradient within `tolerance` of its largest element. */
static void check_naive(pl_comm *comm, const problem *p, const float *batch, double tolerance) {
  double *expected_dz = pl_alloc((size_t)(rows_of(p) * p->width), sizeof *expected_dz);
  assert_non_null(expected_dz);
  pl_contrast_figures expected = naive(p, batch, expected_dz);
  solution found = solve(comm, p, batch);
  CHECK_NEAR(found.figures.loss / expected.loss, 1, tolerance);
  CHECK_NEAR(found.figures.accuracy, expected.accuracy, 1e-12);
  CHECK_NEAR(found.figures.alignment, expected.alignment, 1e-6);
  CHECK_NEAR(found.figures.uniformity, expected.uniformity, 1e-6);

  int64_t first, count;
  place_of(comm, p, &first, &count);
  double largest = 0;
  for (int64_t i = 0; i < rows_of(p) * p->width; i++) largest = fmax(largest, fabs(expected_dz[i]));
  for (int64_t i = 0; i < count * p->width; i++)
    CHECK_NEAR(found.dz[i] / largest, expected_dz[first * p->width + i] / largest, tolerance);
  pl_free(found.dz);
  pl_free(expected_dz);
}

static void equals_the_naive_version(void **state) {
  const problem problems[] = {
      {1, 4, 8, 0, 0, 0.5, 0.5},     {1, 9, 5, 1, 3, 0.1, 1},       {3, 5, 16, 2, 7, 0.2, 0.5},
      {3, 5, 16, 0, 0, 0.2, 0.5},    {37, 4, 24, 16, 32, 0.1, 0.5}, {37, 5, 24, 0, 100, 0.1, 2},
      {16, 8, 33, 8, 64, 0.07, 0.7}, {80, 4, 64, 0, 0, 0.2, 1},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    float *batch = make_batch(&problems[i]);
    check_naive(*state, &problems[i], batch, 1e-5);
    pl_free(batch);
  }
}

/* Rounding of a similarity is amplified by 1/τ: at 0.01 it allows no more than 3e-5. */
static void extreme_temperatures_do_not_overflow(void **state) {
  const problem problems[] = {{5, 6, 16, 4, 16, 0.01, 1},
                              {5, 6, 16, 4, 16, 1, 1},
                              {5, 6, 16, 4, 16, 0.01, 0.1},
                              {5, 6, 16, 4, 16, 100, 1}};
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    float *batch = make_batch(&problems[i]);
    check_naive(*state, &problems[i], batch, problems[i].temperature < 0.05 ? 3e-5 : 1e-5);
    pl_free(batch);
  }
}

/* Where positives have won, loss and gradient are tiny; both must keep their digits. */
static void small_losses_keep_their_digits(void **state) {
  const problem p = {4, 4, 64, 0, 10, 0.05, 0.02};
  float *batch = make_batch(&p);
  solution found = solve(*state, &p, batch);
  assert_true(found.figures.loss < 1e-3);
  assert_true(found.figures.accuracy == 1);
  check_naive(*state, &p, batch, 3e-5);
  pl_free(found.dz);
  pl_free(batch);
}

/* Rows that are copies of others, in the same leaf and elsewhere: ties, and negatives of
 * similarity 1. A positive that only ties does not count as found. */
static void duplicated_rows_are_counted(void **state) {
  const problem p = {4, 6, 12, 3, 11, 0.1, 0.5};
  float *batch = make_batch(&p);
  size_t row = (size_t)p.width * sizeof *batch;
  memcpy(batch + 1 * p.width, batch, row);
  memcpy(batch + 17 * p.width, batch, row);
  memcpy(batch + 47 * p.width, batch + 40 * p.width, row);
  check_naive(*state, &p, batch, 1e-5);
  for (int64_t i = 1; i < rows_of(&p); i++) memcpy(batch + i * p.width, batch, row);
  solution found = solve(*state, &p, batch);
  CHECK_NEAR(found.figures.loss, log((double)rows_of(&p) - 1), 1e-6);
  pl_free(found.dz);
  pl_free(batch);
}

/* Central differences with a step of 2^-8 on every element: error of order step² and rounding over
 * step, both below 1e-4 of a gradient whose largest element is above 0.05. */
static void gradient_equals_finite_differences(void **state) {
  const problem p = {1, 4, 4, 0, 3, 0.5, 0.5};
  const double step = 0x1p-8;
  float *batch = make_batch(&p);
  solution found = solve(*state, &p, batch);
  int64_t first, count;
  place_of(*state, &p, &first, &count);
  double largest = 0;
  for (int64_t i = 0; i < rows_of(&p) * p.width; i++) {
    float before = batch[i];
    batch[i] = (float)(before + step);
    solution above = solve(*state, &p, batch);
    batch[i] = (float)(before - step);
    solution below = solve(*state, &p, batch);
    batch[i] = before;
    double slope = (above.figures.loss - below.figures.loss) / (2 * step);
    if (i >= first * p.width && i < (first + count) * p.width)
      CHECK_NEAR(found.dz[i - first * p.width], slope, 1e-4);
    largest = fmax(largest, fabs(slope));
    pl_free(above.dz);
    pl_free(below.dz);
  }
  assert_true(largest > 0.05);
  pl_free(found.dz);
  pl_free(batch);
}

/* Every rank also computes the whole batch alone, with teams of one and two threads. */
static void check_bits(pl_comm *comm, const problem *p) {
  float *batch = make_batch(p);
  solution found = solve(comm, p, batch);
  int64_t first, count;
  place_of(comm, p, &first, &count);
  int ranks = pl_comm_size(comm);
  pl_comm *self;
  CHECK_OK(pl_comm_create_self(&self));
  int before = pl_threads_count();
  for (int threads = 1; threads <= 2; threads++) {
    pl_threads_use(threads);
    solution alone = solve(self, p, batch);
    assert_memory_equal(alone.dz + first * p->width, found.dz,
                        (size_t)(count * p->width) * sizeof *found.dz);
    if ((ranks & (ranks - 1)) == 0)
      assert_memory_equal(&alone.figures, &found.figures, sizeof alone.figures);
    else
      CHECK_NEAR(alone.figures.loss, found.figures.loss, 1e-14);
    pl_free(alone.dz);
  }
  pl_threads_use(before);
  pl_comm_destroy(&self);
  pl_free(found.dz);
  pl_free(batch);
}

static void bits_do_not_depend_on_ranks_or_threads(void **state) {
  const problem problems[] = {{1, 4, 8, 0, 0, 0.5, 0.5},    {1, 13, 40, 0, 5, 0.1, 1},
                              {3, 6, 16, 4, 7, 0.2, 0.5},   {37, 7, 24, 16, 32, 0.1, 0.5},
                              {32, 8, 128, 0, 0, 0.1, 0.5}, {100, 4, 32, 0, 0, 0.05, 0.5}};
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) check_bits(*state, &problems[i]);
}

/* A bad embedding on one rank makes the loss of all ranks say so, and nothing hangs. */
static void bad_embeddings_reach_every_loss(void **state) {
  const problem p = {3, 5, 8, 2, 7, 0.1, 0.5};
  const float bad[] = {NAN, INFINITY, -INFINITY};
  const int64_t places[] = {0, 8 * 7 + 3, 30 * 8 - 1};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
      float *batch = make_batch(&p);
      batch[places[k]] = bad[i];
      solution found = solve(*state, &p, batch);
      if (isfinite(found.figures.loss))
        print_error("value %g at %d: loss %g\n", (double)bad[i], (int)places[k],
                    found.figures.loss);
      assert_false(isfinite(found.figures.loss));
      pl_free(found.dz);
      pl_free(batch);
    }
  }
}

/* Figures only: the same numbers, uniformity only where asked for. */
static void figures_come_without_a_gradient(void **state) {
  const problem p = {3, 5, 8, 2, 7, 0.1, 0.5};
  const pl_pair_options options = options_of(&p);
  float *batch = make_batch(&p);
  solution found = solve(*state, &p, batch);
  pl_pair_sweep *sweep;
  pl_contrast_figures figures;
  CHECK_OK(pl_pair_sweep_create(*state, &options, &sweep));
  const float *z = batch + pl_pair_first_row(sweep) * p.width;
  /* Twice: a sweep is made once and used for every step. */
  for (int step = 0; step < 2; step++) {
    CHECK_OK(pl_ntxent(sweep, z, p.leaf_samples, p.temperature, false, &figures, NULL));
    assert_true(figures.loss == found.figures.loss);
    assert_true(figures.accuracy == found.figures.accuracy);
    assert_true(figures.alignment == found.figures.alignment);
    assert_true(isnan(figures.uniformity));
  }
  pl_pair_sweep_destroy(&sweep);
  pl_free(found.dz);
  pl_free(batch);
}

static void shapes_that_do_not_fit_are_refused(void **state) {
  pl_comm *comm = *state;
  pl_pair_options options = {.width = 4, .leaf_rows = 2, .leaves = pl_comm_size(comm) - 1};
  pl_pair_sweep *sweep;
  CHECK_FAILS(PL_E_USAGE, "pair sweep", pl_pair_sweep_create(comm, &options, &sweep));
  assert_null(sweep);
  if (pl_comm_size(comm) == 1) return;
  options.leaves = 8;
  options.width += pl_comm_rank(comm) == 1;
  CHECK_FAILS(PL_E_USAGE, "shapes", pl_pair_sweep_create(comm, &options, &sweep));
  assert_null(sweep);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_the_naive_version),
      cmocka_unit_test(extreme_temperatures_do_not_overflow),
      cmocka_unit_test(small_losses_keep_their_digits),
      cmocka_unit_test(duplicated_rows_are_counted),
      cmocka_unit_test(gradient_equals_finite_differences),
      cmocka_unit_test(bits_do_not_depend_on_ranks_or_threads),
      cmocka_unit_test(bad_embeddings_reach_every_loss),
      cmocka_unit_test(figures_come_without_a_gradient),
      cmocka_unit_test(shapes_that_do_not_fit_are_refused),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
