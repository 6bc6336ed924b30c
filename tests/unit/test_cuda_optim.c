/* Optimizers on the device against the host's: every rule, clipped or not, bounds, slices of
 * several ranks, averages. Built twice, as test_cuda_ops.c. */
#include <math.h>

#include "runtime/cuda/cuda.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/optim_fixture.h"

/* A run whose vectors are in memory of a device, and what is fetched from there. */
typedef struct placed_run {
  const pl_device *device;
  const pl_space *space;
  pl_slice *slice;
  pl_optim *optim;
  void *master, *gradient; /* of the device */
  size_t elements;
  float *host; /* (1 + moments, elements): master and moments */
  double norm[STEPS];
} placed_run;

static float *room(size_t n) {
  float *values = pl_alloc(n, sizeof *values);
  assert_non_null(values);
  return values;
}

static const pl_device *cuda(void) { return pl_cuda_backend()->device; }

/* One rank's part; the others are not there, so that sums are its own. */
static placed_run open_run(const pl_device *device, const pl_space *space, int ranks, int rank,
                           const pl_optim_options *options) {
  static pl_ranks alone; /* optimizers keep it */
  alone = (pl_ranks){.rank = rank, .count = ranks, .sum = pl_ranks_sum_alone};
  placed_run r = {.device = device, .space = space};
  CHECK_OK(pl_slice_create(space, ranks, rank, &r.slice));
  CHECK_OK(pl_optim_create(device, space, r.slice, &alone, options, &r.optim));
  r.elements = (size_t)r.slice->blocks * PL_BLOCK;
  r.host = room(r.elements * (size_t)(1 + pl_optim_moments(r.optim)));
  CHECK_OK(device->alloc(r.elements * sizeof(float), &r.master));
  CHECK_OK(device->alloc(r.elements * sizeof(float), &r.gradient));
  fill(space, r.slice, 0, 1, r.host);
  CHECK_OK(device->put(r.master, r.host, r.elements * sizeof(float)));
  return r;
}

static void close_run(placed_run *r) {
  r->device->release(r->master);
  r->device->release(r->gradient);
  pl_free(r->host);
  pl_optim_destroy(&r->optim);
  pl_slice_destroy(&r->slice);
}

static void take_step(placed_run *r, double lr, int step, float poison) {
  float *gradient = room(r->elements);
  fill(r->space, r->slice, step + 1, 1, gradient);
  if (poison != 0) gradient[5] = poison;
  CHECK_OK(r->device->put(r->gradient, gradient, r->elements * sizeof *gradient));
  CHECK_OK(pl_optim_step(r->optim, lr * rates[step], step, r->master, r->gradient, &r->norm[step]));
  pl_free(gradient);
}

static void fetch(placed_run *r) {
  size_t bytes = r->elements * sizeof(float);
  CHECK_OK(r->device->get(r->host, r->master, bytes));
  for (int k = 0; k < pl_optim_moments(r->optim); k++)
    CHECK_OK(r->device->get(r->host + (size_t)(k + 1) * r->elements, pl_optim_moment(r->optim, k),
                            bytes));
}

static size_t fetched(const placed_run *r) {
  return r->elements * (size_t)(1 + pl_optim_moments(r->optim));
}

static void run_steps(placed_run *r, const optim_case *c, double bound) {
  pl_optim_scale_rate(r->optim, 3, 0.5);
  if (bound > 0) pl_optim_bound(r->optim, 3, bound);
  for (int step = 0; step < STEPS; step++) take_step(r, c->lr, step, 0);
  fetch(r);
}

/* Norms are sums of exact squares in the same order: the same bits. Elements are worked out by the
 * same formulas (runtime/optim/element.h), in which compilers fuse products and sums as they like:
 * a rounding or two in each step. */
static void check_near(const placed_run *r, const placed_run *expected) {
  for (int step = 0; step < STEPS; step++) CHECK_NEAR(r->norm[step], expected->norm[step], 0);
  for (size_t i = 0; i < fetched(r); i++)
    CHECK_NEAR(r->host[i], expected->host[i], 1e-6 * (1 + fabs((double)expected->host[i])));
}

/* On the device twice, which must give the same bits, and on the host. */
static void compare(const optim_case *c, int ranks, int rank, double clip, double bound) {
  pl_space *space = make_space();
  pl_optim_options options = c->options;
  options.clip = clip;
  placed_run host = open_run(&pl_host_device, space, ranks, rank, &options);
  placed_run one = open_run(cuda(), space, ranks, rank, &options);
  placed_run other = open_run(cuda(), space, ranks, rank, &options);
  run_steps(&host, c, bound);
  run_steps(&one, c, bound);
  run_steps(&other, c, bound);
  check_near(&one, &host);
  assert_memory_equal(one.host, other.host, fetched(&one) * sizeof(float));
  assert_memory_equal(one.norm, other.norm, sizeof one.norm);
  close_run(&host);
  close_run(&one);
  close_run(&other);
  pl_space_destroy(&space);
}

static void rules_are_those_of_the_host(void **state) {
  (void)state;
  for (int k = 0; k < CASES; k++) compare(&cases[k], 1, 0, 0, 0);
}

static void clipping_is_that_of_the_host(void **state) {
  (void)state;
  for (int k = 0; k < CASES; k++) compare(&cases[k], 1, 0, 0.5, 0);
}

/* Also ranks that own nothing. */
static void slices_are_those_of_the_host(void **state) {
  (void)state;
  enum { RANKS = 5 };
  for (int rank = 0; rank < RANKS; rank++) compare(&cases[rank], RANKS, rank, 0, 0);
}

/* The parameter with a bound would be above it, and another is. */
static void bounds_hold(void **state) {
  (void)state;
  const float most = 0.125F;
  pl_space *space = make_space();
  const pl_param *bound = pl_space_param(space, 3), *free = pl_space_param(space, 0);
  for (int k = 0; k < CASES; k++) {
    placed_run r = open_run(cuda(), space, 1, 0, &cases[k].options);
    int at_bound = 0, above = 0;
    run_steps(&r, &cases[k], most);
    for (int64_t i = 0; i < bound->count; i++) {
      float value = r.host[bound->first_block * PL_BLOCK + i];
      assert_true(value <= most);
      at_bound += value == most;
    }
    for (int64_t i = 0; i < free->count; i++)
      above += r.host[free->first_block * PL_BLOCK + i] > most;
    assert_true(at_bound > 0 && above > 0);
    close_run(&r);
    compare(&cases[k], 1, 0, 0, most);
  }
  pl_space_destroy(&space);
}

static void what_is_not_finite_changes_nothing(void **state) {
  (void)state;
  pl_space *space = make_space();
  for (int k = 0; k < CASES; k++) {
    placed_run r = open_run(cuda(), space, 1, 0, &cases[k].options);
    take_step(&r, cases[k].lr, 0, 0);
    fetch(&r);
    size_t bytes = fetched(&r) * sizeof(float);
    float *before = room(fetched(&r));
    memcpy(before, r.host, bytes);
    take_step(&r, cases[k].lr, 1, NAN);
    assert_true(isnan(r.norm[1]));
    take_step(&r, cases[k].lr, 2, INFINITY);
    assert_true(isinf(r.norm[2]));
    fetch(&r);
    assert_memory_equal(r.host, before, bytes);
    pl_free(before);
    close_run(&r);
  }
  pl_space_destroy(&space);
}

static void averages_follow(void **state) {
  (void)state;
  enum { N = 2 * PL_BLOCK + 3 };
  float average[N], values[N], expected[N];
  void *there[2] = {NULL, NULL};
  for (int i = 0; i < N; i++) {
    average[i] = expected[i] = value(1, 2, i);
    values[i] = value(3, 4, i);
  }
  for (int k = 0; k < 2; k++) {
    CHECK_OK(cuda()->alloc(sizeof average, &there[k]));
    CHECK_OK(cuda()->put(there[k], k == 0 ? average : values, sizeof average));
  }
  for (int step = 0; step < 3; step++) {
    CHECK_OK(pl_optim_follow(&pl_host_device, expected, values, N, 0.3F));
    CHECK_OK(pl_optim_follow(cuda(), there[0], there[1], N, 0.3F));
  }
  CHECK_OK(cuda()->get(average, there[0], sizeof average));
  for (int i = 0; i < N; i++) CHECK_NEAR(average[i], expected[i], 1e-6);
  for (int k = 0; k < 2; k++) cuda()->release(there[k]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rules_are_those_of_the_host),
      cmocka_unit_test(clipping_is_that_of_the_host),
      cmocka_unit_test(slices_are_those_of_the_host),
      cmocka_unit_test(bounds_hold),
      cmocka_unit_test(what_is_not_finite_changes_nothing),
      cmocka_unit_test(averages_follow),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
