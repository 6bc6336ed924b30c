/* runtime/optim: clipping by the norm of the whole gradient, and rates of single parameters. */
#include <math.h>

#include "tests/unit/optim_fixture.h"

static size_t elements(const run *r) { return (size_t)r->slice->blocks * PL_BLOCK; }

/* One step of `c` with the gradient scaled by hand. */
static void step_scaled(run *r, const pl_space *space, const optim_case *c, float factor) {
  double norm;
  fill(space, r->slice, 1, 0.25f, r->gradient);
  for (size_t i = 0; i < elements(r); i++) r->gradient[i] *= factor;
  CHECK_OK(pl_optim_step(r->optim, c->lr, 0, r->master, r->gradient, &norm));
}

static void clipping_scales_the_whole_gradient(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  for (int k = 0; k < CASES; k++) {
    run plain = make_run(space, &alone, &cases[k].options);
    double norm;
    CHECK_OK(run_step(&plain, space, &cases[k], 0, &norm));
    free_run(&plain);

    optim_case clipped = cases[k];
    clipped.options.clip = norm / 8;
    clipped.lr *= rates[0];
    run r = make_run(space, &alone, &clipped.options);
    run by_hand = make_run(space, &alone, &cases[k].options);
    step_scaled(&by_hand, space, &clipped, (float)(clipped.options.clip / norm));
    double told;
    fill(space, r.slice, 1, 0.25f, r.gradient);
    CHECK_OK(pl_optim_step(r.optim, clipped.lr, 0, r.master, r.gradient, &told));
    assert_true(told == norm); /* before clipping */
    assert_memory_equal(r.master, by_hand.master, elements(&r) * sizeof *r.master);
    free_run(&by_hand);
    free_run(&r);
  }
  pl_space_destroy(&space);
}

static void small_gradients_are_left_alone(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  for (int k = 0; k < CASES; k++) {
    optim_case clipped = cases[k];
    clipped.options.clip = 1e6;
    run plain = make_run(space, &alone, &cases[k].options);
    run r = make_run(space, &alone, &clipped.options);
    double norm, same;
    CHECK_OK(run_step(&plain, space, &cases[k], 0, &norm));
    CHECK_OK(run_step(&r, space, &clipped, 0, &same));
    assert_true(same == norm);
    assert_memory_equal(r.master, plain.master, elements(&r) * sizeof *r.master);
    free_run(&plain);
    free_run(&r);
  }
  pl_space_destroy(&space);
}

/* Plain SGD: a parameter moves by its own rate, the others as ever. */
static void a_parameter_has_its_rate(void **state) {
  (void)state;
  enum { SCALED = 1 };
  const optim_case c = {"sgd", 0.5, {.kind = PL_OPTIM_SGD}};
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  run r = make_run(space, &alone, &c.options);
  double norm;
  pl_optim_scale_rate(r.optim, SCALED, 0.25);
  fill(space, r.slice, 1, 0.25f, r.gradient);
  CHECK_OK(pl_optim_step(r.optim, c.lr, 0, r.master, r.gradient, &norm));
  for (int t = 0; t < TENSORS; t++) {
    const pl_param *param = pl_space_param(space, t);
    float lr = t == SCALED ? 0.125f : 0.5f;
    for (int64_t i = 0; i < param->count; i++) {
      float before = tensors[t].zero ? 0 : value(0, t, i);
      float expected = before - lr * (0.25f * value(1, t, i));
      CHECK_NEAR(r.master[param->first_block * PL_BLOCK + i], expected, 1e-7);
    }
  }
  free_run(&r);
  pl_space_destroy(&space);
}

static void a_negative_limit_is_refused(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  pl_slice *slice;
  CHECK_OK(pl_slice_create(space, 1, 0, &slice));
  const pl_optim_options bad[] = {{.kind = PL_OPTIM_SGD, .clip = -1},
                                  {.kind = PL_OPTIM_SGD, .clip = NAN}};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    pl_optim *optim = NULL;
    CHECK_FAILS(PL_E_USAGE, "largest norm",
                pl_optim_create(&pl_host_device, space, slice, &alone, &bad[k], &optim));
  }
  pl_slice_destroy(&slice);
  pl_space_destroy(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(clipping_scales_the_whole_gradient),
      cmocka_unit_test(small_gradients_are_left_alone),
      cmocka_unit_test(a_parameter_has_its_rate),
      cmocka_unit_test(a_negative_limit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
