/* clip and siglip over ranks: against a naive version in double precision over the whole batch,
 * against finite differences, and bit for bit against one process that holds the whole batch. */
#include <string.h>

#include "runtime/base/threads.h"
#include "tests/dist/clip_naive.h"
#include "tests/dist/ranks.h"

static pl_clip_loss *make_loss(pl_comm *comm, const problem *p, int64_t *first, int64_t *count) {
  const pl_pair_options options = options_of(p);
  pl_clip_loss *loss;
  CHECK_OK(pl_clip_loss_create(comm, p->kind, &options, &loss));
  *first = pl_pair_first_row(pl_clip_loss_sweep(loss));
  *count = pl_pair_local_rows(pl_clip_loss_sweep(loss));
  return loss;
}

/* Runs this rank's part of the batch. */
static solution solve(pl_comm *comm, const problem *p, const batch *b) {
  solution s;
  pl_clip_loss *loss = make_loss(comm, p, &s.first, &s.count);
  s.dx = must_alloc((size_t)(s.count * p->width), sizeof *s.dx);
  s.dy = must_alloc((size_t)(s.count * p->width), sizeof *s.dy);
  CHECK_OK(pl_clip(loss, b->x + s.first * p->width, b->y + s.first * p->width, log(p->scale),
                   p->bias, true, &s.figures, s.dx, s.dy, &s.dlog_scale, &s.dbias));
  pl_clip_loss_destroy(&loss);
  return s;
}

/* Loss within `tolerance` of itself, slopes of the sum of their absolute terms. */
static void check_naive(pl_comm *comm, const problem *p, const batch *b, double tolerance) {
  naive_figures expected = naive(p, b);
  solution found = solve(comm, p, b);
  CHECK_NEAR(found.figures.loss / expected.figures.loss, 1, tolerance);
  CHECK_NEAR(found.figures.accuracy, expected.figures.accuracy, 1e-12);
  CHECK_NEAR(found.figures.alignment, expected.figures.alignment, 1e-6);
  CHECK_NEAR(found.figures.uniformity, expected.figures.uniformity, 1e-6);
  CHECK_NEAR(found.dlog_scale / expected.dlog_scale_size,
             expected.dlog_scale / expected.dlog_scale_size, tolerance);
  if (p->kind == PL_CLIP_SIGMOID)
    CHECK_NEAR(found.dbias / expected.dbias_size, expected.dbias / expected.dbias_size, tolerance);
  else
    assert_true(found.dbias == 0);
  check_largest(p, &found, found.dx, expected.dx, tolerance);
  check_largest(p, &found, found.dy, expected.dy, tolerance);
  free_solution(&found);
  pl_free(expected.dx);
  pl_free(expected.dy);
}

static void check_problem(pl_comm *comm, const problem *p, double tolerance) {
  batch b = make_batch(p);
  check_naive(comm, p, &b, tolerance);
  free_batch(&b);
}

/* ---- tests ---- */

static void equals_the_naive_version(void **state) {
  const problem problems[] = {
      {0, 1, 4, 8, 0, 0, 2, -1, 0.5},        {0, 1, 9, 5, 1, 3, 14.3, -10, 1},
      {0, 3, 5, 16, 2, 7, 5, 0, 0.5},        {0, 37, 4, 24, 16, 32, 14.3, -3, 0.5},
      {0, 37, 5, 24, 0, 100, 10, -10, 2},    {0, 16, 8, 33, 8, 64, 20, -5, 0.7},
      {0, 130, 4, 48, 0, 0, 14.3, -10, 0.6},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    for (int kind = PL_CLIP_SOFTMAX; kind <= PL_CLIP_SIGMOID; kind++) {
      problem p = problems[i];
      p.kind = (pl_clip_kind)kind;
      check_problem(*state, &p, 1e-5);
    }
  }
}

/* Rounding of a similarity is amplified by the scale: at 100 it allows no more than 3e-5. */
static void extreme_scales_do_not_overflow(void **state) {
  const problem problems[] = {
      {PL_CLIP_SOFTMAX, 5, 6, 16, 4, 11, 100, 0, 1},
      {PL_CLIP_SOFTMAX, 5, 6, 16, 4, 11, 100, 0, 0.1},
      {PL_CLIP_SOFTMAX, 5, 6, 16, 4, 11, 0.01, 0, 1},
      {PL_CLIP_SIGMOID, 5, 6, 16, 4, 11, 100, -10, 1},
      {PL_CLIP_SIGMOID, 5, 6, 16, 4, 11, 100, 90, 0.1},
      {PL_CLIP_SIGMOID, 5, 6, 16, 4, 11, 10, -200, 0.1},
      {PL_CLIP_SIGMOID, 5, 6, 16, 4, 11, 0.01, 10, 1},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
    check_problem(*state, &problems[i], problems[i].scale > 20 ? 3e-5 : 1e-5);
}

/* Where partners have won, loss, gradient and slopes are tiny; all must keep their digits. */
static void small_losses_keep_their_digits(void **state) {
  const problem problems[] = {{PL_CLIP_SOFTMAX, 4, 4, 64, 0, 10, 30, 0, 0.02},
                              {PL_CLIP_SIGMOID, 4, 4, 64, 0, 10, 50, -28, 0.02}};
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    const problem *p = &problems[i];
    batch b = make_batch(p);
    solution found = solve(*state, p, &b);
    assert_true(found.figures.loss > 0 && found.figures.loss < 1e-3);
    assert_true(fabs(found.dlog_scale) < 1e-2);
    assert_true(found.figures.accuracy == 1);
    check_naive(*state, p, &b, 3e-5);
    free_solution(&found);
    free_batch(&b);
  }
}

/* Pairs that are copies of others, whole or one side, in the same leaf and elsewhere: a partner
 * that only ties does not count as found. */
static void duplicated_pairs_are_counted(void **state) {
  for (int kind = PL_CLIP_SOFTMAX; kind <= PL_CLIP_SIGMOID; kind++) {
    const problem p = {(pl_clip_kind)kind, 4, 6, 12, 3, 11, 10, -4, 0.5};
    size_t row = (size_t)p.width * sizeof(float);
    batch b = make_batch(&p);
    memcpy(b.x + 1 * p.width, b.x, row);
    memcpy(b.y + 1 * p.width, b.y, row);
    memcpy(b.y + 17 * p.width, b.y, row);
    memcpy(b.x + 23 * p.width, b.x + 20 * p.width, row);
    check_naive(*state, &p, &b, 1e-5);
    for (int64_t i = 1; i < pairs_of(&p); i++) {
      memcpy(b.x + i * p.width, b.x, row);
      memcpy(b.y + i * p.width, b.y, row);
    }
    solution found = solve(*state, &p, &b);
    assert_true(found.figures.accuracy == 0);
    if (p.kind == PL_CLIP_SOFTMAX) {
      CHECK_NEAR(found.figures.loss, log((double)pairs_of(&p)), 1e-6);
      CHECK_NEAR(found.dlog_scale, 0, 1e-6);
    }
    free_solution(&found);
    free_batch(&b);
  }
}

/* The loss with one number of the problem moved by `step`. */
static double moved_loss(pl_comm *comm, const problem *p, const batch *b, float *element,
                         double log_scale_step, double bias_step, double step) {
  problem moved = *p;
  float before = element ? *element : 0;
  moved.scale = exp(log(p->scale) + log_scale_step * step);
  moved.bias += bias_step * step;
  if (element) *element = (float)(before + step);
  solution s = solve(comm, &moved, b);
  if (element) *element = before;
  free_solution(&s);
  return s.figures.loss;
}

static double central(pl_comm *comm, const problem *p, const batch *b, float *element,
                      double by_log_scale, double by_bias) {
  const double step = 0x1p-8;
  return (moved_loss(comm, p, b, element, by_log_scale, by_bias, step) -
          moved_loss(comm, p, b, element, by_log_scale, by_bias, -step)) /
         (2 * step);
}

/* Central differences with a step of 2^-8: error of order step² and rounding over step, both below
 * 2e-4 of gradients whose largest elements are above 0.05. */
static void gradients_equal_finite_differences(void **state) {
  const problem problems[] = {{PL_CLIP_SOFTMAX, 1, 4, 4, 0, 3, 3, 0, 1.5},
                              {PL_CLIP_SIGMOID, 1, 4, 4, 0, 3, 3, -1, 1.5}};
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    const problem *p = &problems[i];
    batch b = make_batch(p);
    solution found = solve(*state, p, &b);
    double largest = 0, by_log_scale = central(*state, p, &b, NULL, 1, 0);
    CHECK_NEAR(found.dlog_scale, by_log_scale, 2e-4);
    CHECK_NEAR(found.dbias, central(*state, p, &b, NULL, 0, 1), 2e-4);
    assert_true(fabs(by_log_scale) > 0.05);
    for (int64_t k = 0; k < (int64_t)floats_of(p); k++) {
      double of_x = central(*state, p, &b, b.x + k, 0, 0);
      double of_y = central(*state, p, &b, b.y + k, 0, 0);
      int64_t local = k - found.first * p->width;
      if (local >= 0 && local < found.count * p->width) {
        CHECK_NEAR(found.dx[local], of_x, 2e-4);
        CHECK_NEAR(found.dy[local], of_y, 2e-4);
      }
      largest = fmax(largest, fabs(of_x));
    }
    assert_true(largest > 0.05);
    free_solution(&found);
    free_batch(&b);
  }
}

/* Every rank also computes the whole batch alone, with teams of one and two threads. */
static void check_bits(pl_comm *comm, const problem *p) {
  batch b = make_batch(p);
  solution found = solve(comm, p, &b);
  size_t bytes = (size_t)(found.count * p->width) * sizeof *found.dx;
  int ranks = pl_comm_size(comm), before = pl_threads_count();
  pl_comm *self;
  CHECK_OK(pl_comm_create_self(&self));
  for (int threads = 1; threads <= 2; threads++) {
    pl_threads_use(threads);
    solution alone = solve(self, p, &b);
    assert_memory_equal(alone.dx + found.first * p->width, found.dx, bytes);
    assert_memory_equal(alone.dy + found.first * p->width, found.dy, bytes);
    if ((ranks & (ranks - 1)) == 0) {
      assert_memory_equal(&alone.figures, &found.figures, sizeof alone.figures);
      assert_true(alone.dlog_scale == found.dlog_scale);
      assert_true(alone.dbias == found.dbias);
    } else {
      CHECK_NEAR(alone.figures.loss, found.figures.loss, 1e-14);
      CHECK_NEAR(alone.dlog_scale, found.dlog_scale, 1e-13);
      CHECK_NEAR(alone.dbias, found.dbias, 1e-13);
    }
    free_solution(&alone);
  }
  pl_threads_use(before);
  pl_comm_destroy(&self);
  free_solution(&found);
  free_batch(&b);
}

static void bits_do_not_depend_on_ranks_or_threads(void **state) {
  const problem problems[] = {
      {0, 1, 4, 8, 0, 0, 5, 0, 0.5},       {0, 1, 13, 40, 0, 5, 14, -10, 1},
      {0, 3, 6, 16, 4, 7, 14, -10, 0.5},   {0, 37, 7, 24, 16, 32, 10, -3, 0.5},
      {0, 32, 8, 128, 0, 0, 14, -10, 0.5}, {0, 100, 4, 32, 0, 0, 100, -10, 0.5},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    for (int kind = PL_CLIP_SOFTMAX; kind <= PL_CLIP_SIGMOID; kind++) {
      problem p = problems[i];
      p.kind = (pl_clip_kind)kind;
      check_bits(*state, &p);
    }
  }
}

/* A bad embedding of either kind on one rank makes the loss of all ranks say so. */
static void bad_embeddings_reach_every_loss(void **state) {
  const float bad[] = {NAN, INFINITY, -INFINITY};
  const int64_t places[] = {0, 8 * 7 + 3, 15 * 8 - 1};
  for (int i = 0; i < 3 * 3 * 2 * 2; i++) {
    const problem p = {i % 2 ? PL_CLIP_SIGMOID : PL_CLIP_SOFTMAX, 3, 5, 8, 2, 7, 10, -10, 0.5};
    batch b = make_batch(&p);
    float *side = i / 2 % 2 ? b.x : b.y;
    side[places[i / 4 % 3]] = bad[i / 12];
    solution found = solve(*state, &p, &b);
    assert_false(isfinite(found.figures.loss));
    free_solution(&found);
    free_batch(&b);
  }
}

/* So does a temperature that is none. */
static void bad_temperatures_reach_the_loss(void **state) {
  const double bad[] = {NAN, INFINITY};
  for (int i = 0; i < 4; i++) {
    const problem p = {i % 2 ? PL_CLIP_SIGMOID : PL_CLIP_SOFTMAX, 3, 5, 8, 2, 7, bad[i / 2], -1, 1};
    batch b = make_batch(&p);
    solution found = solve(*state, &p, &b);
    assert_false(isfinite(found.figures.loss));
    free_solution(&found);
    free_batch(&b);
  }
}

/* Figures only: the same numbers, uniformity only where asked for. */
static void figures_come_without_a_gradient(void **state) {
  for (int kind = PL_CLIP_SOFTMAX; kind <= PL_CLIP_SIGMOID; kind++) {
    const problem p = {(pl_clip_kind)kind, 3, 5, 8, 2, 7, 10, -10, 0.5};
    batch b = make_batch(&p);
    solution found = solve(*state, &p, &b);
    pl_contrast_figures figures;
    double dlog_scale, dbias;
    int64_t first, count;
    pl_clip_loss *loss = make_loss(*state, &p, &first, &count);
    const float *x = b.x + first * p.width, *y = b.y + first * p.width;
    /* Twice: buffers are made once and used for every step. */
    for (int step = 0; step < 2; step++) {
      CHECK_OK(pl_clip(loss, x, y, log(p.scale), p.bias, false, &figures, NULL, NULL, &dlog_scale,
                       &dbias));
      assert_true(figures.loss == found.figures.loss);
      assert_true(figures.accuracy == found.figures.accuracy);
      assert_true(figures.alignment == found.figures.alignment);
      assert_true(isnan(figures.uniformity));
      assert_true(dlog_scale == found.dlog_scale && dbias == found.dbias);
    }
    pl_clip_loss_destroy(&loss);
    pl_clip_loss_destroy(&loss);
    free_solution(&found);
    free_batch(&b);
  }
}

static void shapes_that_do_not_fit_are_refused(void **state) {
  pl_comm *comm = *state;
  pl_pair_options options = {.width = 4, .leaf_rows = 2, .leaves = pl_comm_size(comm) - 1};
  pl_clip_loss *loss;
  CHECK_FAILS(PL_E_USAGE, "pair sweep",
              pl_clip_loss_create(comm, PL_CLIP_SOFTMAX, &options, &loss));
  assert_null(loss);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_the_naive_version),
      cmocka_unit_test(extreme_scales_do_not_overflow),
      cmocka_unit_test(small_losses_keep_their_digits),
      cmocka_unit_test(duplicated_pairs_are_counted),
      cmocka_unit_test(gradients_equal_finite_differences),
      cmocka_unit_test(bits_do_not_depend_on_ranks_or_threads),
      cmocka_unit_test(bad_embeddings_reach_every_loss),
      cmocka_unit_test(bad_temperatures_reach_the_loss),
      cmocka_unit_test(figures_come_without_a_gradient),
      cmocka_unit_test(shapes_that_do_not_fit_are_refused),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
