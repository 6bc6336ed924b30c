/* The losses of pairs on a device, in both types of products, against the naive version; and how
 * the sweep fails. What bf16 is compared with is the naive loss of the rounded embeddings: then
 * only weights are rounded besides. Built twice, as test_cuda_ops.c. */
#include <string.h>

#include "runtime/cuda/cuda.h"
#include "tests/dist/clip_naive.h"
#include "tests/unit/cuda_test.h"

static pl_pair_options on_device(const problem *p, pl_dtype type) {
  pl_pair_options options = options_of(p);
  options.device = pl_cuda_backend()->device;
  options.type = type;
  return options;
}

static void run_step(pl_clip_loss *loss, const problem *p, const batch *b, solution *s) {
  size_t bytes = floats_of(p) * sizeof(float);
  void *x = cuda_test_place(b->x, bytes), *y = cuda_test_place(b->y, bytes);
  void *dx = cuda_test_place(NULL, bytes), *dy = cuda_test_place(NULL, bytes);
  CHECK_OK(pl_clip(loss, x, y, log(p->scale), p->bias, true, &s->figures, dx, dy, &s->dlog_scale,
                   &s->dbias));
  cuda_test_take(s->dx, dx, bytes);
  cuda_test_take(s->dy, dy, bytes);
  pl_cuda_backend()->device->release(x);
  pl_cuda_backend()->device->release(y);
}

/* Twice: the second step finds buffers full of the first one's numbers. */
static solution solve(pl_comm *comm, const problem *p, pl_dtype type, const batch *b) {
  const pl_pair_options options = on_device(p, type);
  size_t bytes = floats_of(p) * sizeof(float);
  solution first = {.dx = must_alloc(bytes, 1), .dy = must_alloc(bytes, 1)};
  solution found = {.count = pairs_of(p), .dx = must_alloc(bytes, 1), .dy = must_alloc(bytes, 1)};
  pl_clip_loss *loss;
  CHECK_OK(pl_clip_loss_create(comm, p->kind, &options, &loss));
  run_step(loss, p, b, &first);
  run_step(loss, p, b, &found);
  assert_memory_equal(first.dx, found.dx, bytes);
  assert_memory_equal(first.dy, found.dy, bytes);
  pl_clip_loss_destroy(&loss);
  free_solution(&first);
  return found;
}

/* Gradients within `slack` of their largest element, and of their length. */
static void check_gradient(const problem *p, const solution *found, const float *d,
                           const double *expected, double slack) {
  double length = 0, distance = 0;
  check_largest(p, found, d, expected, slack);
  for (size_t i = 0; i < floats_of(p); i++) {
    length += expected[i] * expected[i];
    distance += pow((double)d[i] - expected[i], 2);
  }
  CHECK_NEAR(sqrt(distance), 0, slack * sqrt(length));
}

/* Loss within 1e-5 of itself, slopes of the sum of their absolute terms, in both types. So are
 * gradients in f32, but that rounding of a similarity is amplified by the scale: at 100 it allows
 * no more than 3e-5. In bf16 weights are rounded. */
static void check_naive(pl_comm *comm, const problem *p, pl_dtype type) {
  const double tolerance = 1e-5, slack = type == PL_BF16 ? 5e-3 : p->scale > 20 ? 3e-5 : 1e-5;
  batch b = make_batch_of(p, type);
  naive_figures expected = naive(p, &b);
  solution found = solve(comm, p, type, &b);
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
  check_gradient(p, &found, found.dx, expected.dx, slack);
  check_gradient(p, &found, found.dy, expected.dy, slack);
  free_solution(&found);
  free_batch(&b);
  pl_free(expected.dx);
  pl_free(expected.dy);
}

static void in_each_way(pl_comm *comm, problem p) {
  for (int kind = PL_CLIP_SOFTMAX; kind <= PL_CLIP_SIGMOID; kind++) {
    p.kind = (pl_clip_kind)kind;
    check_naive(comm, &p, PL_F32);
    check_naive(comm, &p, PL_BF16);
  }
}

/* ---- tests ---- */

/* Tiles that end anywhere: with their leaf and the batch or before, one row or one column wide. */
static void equals_the_naive_version(void **state) {
  const problem problems[] = {
      {0, 1, 9, 5, 1, 3, 14.3, -10, 1},   {0, 3, 5, 16, 2, 14, 5, 0, 0.5},
      {0, 29, 2, 130, 0, 0, 14.3, -3, 1}, {0, 37, 2, 24, 16, 32, 10, -10, 2},
      {0, 16, 5, 33, 8, 64, 20, -5, 0.7}, {0, 2, 3, 7, 0, 1, 2, -1, 0.5},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) in_each_way(*state, problems[i]);
}

static void extreme_scales_do_not_overflow(void **state) {
  const problem problems[] = {
      {0, 5, 4, 16, 4, 11, 100, 0, 1},     {0, 5, 4, 16, 4, 11, 100, 90, 0.1},
      {0, 5, 4, 16, 4, 11, 10, -200, 0.1}, {0, 5, 4, 16, 0, 0, 0.01, 10, 1},
      {0, 3, 5, 256, 7, 12, 100, -60, 1},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) in_each_way(*state, problems[i]);
}

/* Where partners have won, loss, gradient and slopes are tiny; all must keep their digits. */
static void small_losses_keep_their_digits(void **state) {
  const problem problems[] = {{PL_CLIP_SOFTMAX, 4, 4, 64, 0, 10, 30, 0, 0.02},
                              {PL_CLIP_SIGMOID, 4, 4, 64, 0, 10, 50, -28, 0.02}};
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    batch b = make_batch(&problems[i]);
    solution found = solve(*state, &problems[i], PL_F32, &b);
    assert_true(found.figures.loss > 0 && found.figures.loss < 1e-3);
    assert_true(found.figures.accuracy == 1);
    check_naive(*state, &problems[i], PL_F32);
    free_solution(&found);
    free_batch(&b);
  }
}

/* One pair has no others: CLIP has nothing to learn, SigLIP one term. */
static void one_pair_is_a_batch(void **state) {
  problem p = {PL_CLIP_SOFTMAX, 1, 1, 8, 0, 0, 5, -3, 1};
  batch b = make_batch(&p);
  solution found = solve(*state, &p, PL_F32, &b);
  assert_true(found.figures.loss == 0 && found.dlog_scale == 0);
  for (size_t i = 0; i < floats_of(&p); i++) assert_true(found.dx[i] == 0 && found.dy[i] == 0);
  free_solution(&found);
  p.kind = PL_CLIP_SIGMOID;
  found = solve(*state, &p, PL_F32, &b);
  double logit = p.scale * dot(&p, b.x, b.y, 0, 0) + p.bias;
  CHECK_NEAR(found.figures.loss, log1p(exp(-logit)), 1e-6);
  CHECK_NEAR(found.dbias, -1 / (1 + exp(logit)), 1e-6);
  free_solution(&found);
  free_batch(&b);
}

/* A partner that only ties does not count as found. */
static void copies_of_one_pair_are_counted(void **state) {
  for (int kind = PL_CLIP_SOFTMAX; kind <= PL_CLIP_SIGMOID; kind++) {
    const problem p = {(pl_clip_kind)kind, 4, 5, 12, 3, 11, 10, -4, 0.5};
    size_t row = (size_t)p.width * sizeof(float);
    batch b = make_batch(&p);
    for (int64_t i = 1; i < pairs_of(&p); i++) {
      memcpy(b.x + i * p.width, b.x, row);
      memcpy(b.y + i * p.width, b.y, row);
    }
    solution found = solve(*state, &p, PL_F32, &b);
    assert_true(found.figures.accuracy == 0);
    if (p.kind == PL_CLIP_SOFTMAX) {
      CHECK_NEAR(found.figures.loss, log((double)pairs_of(&p)), 1e-6);
      CHECK_NEAR(found.dlog_scale, 0, 1e-6);
    }
    free_solution(&found);
    free_batch(&b);
  }
}

static void bad_embeddings_reach_every_loss(void **state) {
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (int i = 0; i < 3 * 2; i++) {
    const problem p = {i % 2 ? PL_CLIP_SIGMOID : PL_CLIP_SOFTMAX, 3, 3, 8, 2, 7, 10, -10, 0.5};
    batch b = make_batch(&p);
    (i % 3 ? b.x : b.y)[8 * 7 + 3] = bad[i / 2];
    solution found = solve(*state, &p, i % 3 ? PL_F32 : PL_BF16, &b);
    assert_false(isfinite(found.figures.loss));
    free_solution(&found);
    free_batch(&b);
  }
}

/* ---- what is refused ---- */

static void begin_none(const void *context, void *state) {
  (void)context;
  *(double *)state = 0;
}
static void finish_none(const void *context, const void *state, float *stats, double *figures) {
  (void)context;
  stats[0] = 0;
  figures[0] = *(const double *)state;
}

static void losses_without_device_code_are_refused(void **state) {
  const problem p = {PL_CLIP_SOFTMAX, 2, 3, 4, 0, 0, 1, 0, 1};
  const pl_pair_options options = on_device(&p, PL_F32);
  const pl_pair_loss unknown = {.name = "homemade",
                                .stats = 1,
                                .figures = 1,
                                .state_bytes = sizeof(double),
                                .begin = begin_none,
                                .finish = finish_none};
  batch b = make_batch(&p);
  double figure;
  pl_pair_sweep *sweep;
  CHECK_OK(pl_pair_sweep_create(*state, &options, &sweep));
  CHECK_OK(pl_pair_gather(sweep, b.x));
  CHECK_FAILS(PL_E_USAGE, "homemade has no code", pl_pair_statistics(sweep, &unknown, &figure));
  CHECK_FAILS(PL_E_USAGE, "homemade has no code", pl_pair_gradient(sweep, &unknown, b.y));
  pl_pair_sweep_destroy(&sweep);
  free_batch(&b);
}

/* Rows of another kind are found among the columns of the mirror. */
static void rows_must_be_columns_of_the_mirror(void **state) {
  const problem p = {PL_CLIP_SOFTMAX, 2, 3, 4, 0, 0, 1, 0, 1};
  const pl_pair_options options = on_device(&p, PL_F32);
  batch b = make_batch(&p);
  const pl_pair_loss kind = {.name = "uniformity",
                             .figures = 1,
                             .state_bytes = sizeof(double),
                             .begin = begin_none,
                             .finish = finish_none};
  double figure;
  pl_pair_sweep *sweep, *mirror;
  CHECK_OK(pl_pair_sweep_create(*state, &options, &sweep));
  CHECK_OK(pl_pair_gather_two(sweep, b.x, b.y));
  CHECK_FAILS(PL_E_INTERNAL, "mirror", pl_pair_statistics(sweep, &kind, &figure));
  CHECK_OK(pl_pair_sweep_create_mirror(sweep, &mirror));
  CHECK_FAILS(PL_E_INTERNAL, "mirror", pl_pair_statistics(sweep, &kind, &figure));
  CHECK_OK(pl_pair_gather_two(mirror, b.y, b.x));
  pl_pair_sweep_destroy(&mirror);
  CHECK_FAILS(PL_E_INTERNAL, "mirror", pl_pair_statistics(sweep, &kind, &figure));
  pl_pair_sweep_destroy(&sweep);
  free_batch(&b);
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
      cmocka_unit_test(extreme_scales_do_not_overflow),
      cmocka_unit_test(small_losses_keep_their_digits),
      cmocka_unit_test(one_pair_is_a_batch),
      cmocka_unit_test(copies_of_one_pair_are_counted),
      cmocka_unit_test(bad_embeddings_reach_every_loss),
      cmocka_unit_test(losses_without_device_code_are_refused),
      cmocka_unit_test(rows_must_be_columns_of_the_mirror),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, start, stop);
  pl_cuda_close();
  return failures;
}
