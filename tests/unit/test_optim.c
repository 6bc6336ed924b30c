/* runtime/optim: against stored trajectories of PyTorch and NumPy, and what must hold for any
 * optimizer. */
#include "tests/unit/optim_fixture.h"

static void check_padding(const pl_space *space, const run *r) {
  for (int64_t b = 0; b < r->slice->blocks; b++) {
    const pl_param *param = pl_space_param(space, pl_space_block_param(space, r->slice->block[b]));
    int64_t used = param->count - (r->slice->block[b] - param->first_block) * PL_BLOCK;
    for (int64_t i = used; i < PL_BLOCK; i++) {
      assert_true(r->master[b * PL_BLOCK + i] == 0);
      for (int k = 0; k < pl_optim_moments(r->optim); k++) {
        assert_true(pl_optim_moment(r->optim, k)[b * PL_BLOCK + i] == 0);
      }
    }
  }
}

/* One stored element after one step: weight and moments. */
typedef struct record {
  int step, which;
  long index;
  double number[3];
} record;

static size_t read_records(const char *name, int moments, record *records, size_t most) {
  char path[1024];
  snprintf(path, sizeof path, "%s/../parity/optim/%s.txt", PL_TEST_FOLDER, name);
  FILE *file = fopen(path, "r");
  if (!file) fail_msg("cannot open %s", path);
  size_t count = 0;
  char line[256];
  while (fgets(line, sizeof line, file)) {
    assert_true(count < most);
    record *r = &records[count++];
    char *at = line;
    r->step = (int)strtol(at, &at, 10);
    r->which = (int)strtol(at, &at, 10);
    r->index = strtol(at, &at, 10);
    for (int column = 0; column <= moments; column++) r->number[column] = strtod(at, &at);
    assert_string_equal(at, "\n"); /* all of the line was read */
  }
  fclose(file);
  return count;
}

static float element(const pl_space *space, const float *vector, const record *r) {
  return vector[pl_space_param(space, r->which)->first_block * PL_BLOCK + r->index];
}

/* The largest stored magnitude of a column of a tensor: what 1e-6 is relative to. */
static double scale_of(const record *records, size_t count, int which, int column) {
  double scale = 0;
  for (size_t i = 0; i < count; i++) {
    if (records[i].which == which) scale = fmax(scale, fabs(records[i].number[column]));
  }
  return scale;
}

static void check_case(const pl_space *space, const optim_case *c) {
  enum { MOST = 1000 };
  static record records[MOST];
  pl_ranks alone = pl_ranks_alone();
  run r = make_run(space, &alone, &c->options);
  int moments = pl_optim_moments(r.optim);
  size_t count = read_records(c->name, moments, records, MOST), next = 0;
  assert_int_equal(count, 72 * STEPS);
  for (int step = 0; step < STEPS; step++) {
    double norm;
    CHECK_OK(run_step(&r, space, c, step, &norm));
    check_padding(space, &r);
    for (; next < count && records[next].step == step; next++) {
      for (int column = 0; column <= moments; column++) {
        const float *vector = column == 0 ? r.master : pl_optim_moment(r.optim, column - 1);
        double got = element(space, vector, &records[next]);
        double expected = records[next].number[column];
        double scale = scale_of(records, count, records[next].which, column);
        if (!(fabs(got - expected) <= 1e-6 * scale)) {
          fail_msg("%s, step %d, tensor %d, element %ld, column %d: %.9g, expected %.9g", c->name,
                   step, records[next].which, records[next].index, column, got, expected);
        }
      }
    }
  }
  assert_int_equal(next, count);
  free_run(&r);
}

static void trajectories_match_the_references(void **state) {
  (void)state;
  pl_space *space = make_space();
  for (int k = 0; k < CASES; k++) check_case(space, &cases[k]);
  pl_space_destroy(&space);
}

static void gradient_norm_is_that_of_the_whole(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  run r = make_run(space, &alone, &cases[0].options);
  double norm, square = 0;
  for (int t = 0; t < TENSORS; t++) {
    for (int64_t i = 0; i < tensors[t].count; i++) square += pow(value(1, t, i) / 4, 2);
  }
  CHECK_OK(run_step(&r, space, &cases[0], 0, &norm));
  CHECK_NEAR(norm, sqrt(square), 1e-14);
  free_run(&r);
  pl_space_destroy(&space);
}

/* A gradient that is not finite anywhere leaves everything as it was, on every optimizer. */
static void bad_gradients_change_nothing(void **state) {
  (void)state;
  const float bad[] = {NAN, INFINITY, -INFINITY};
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  size_t bytes = (size_t)pl_space_elements(space) * sizeof(float);
  float *before = pl_alloc(bytes, 1);
  for (int k = 0; k < CASES; k++) {
    run r = make_run(space, &alone, &cases[k].options);
    double norm;
    CHECK_OK(run_step(&r, space, &cases[k], 0, &norm));
    assert_true(isfinite(norm));
    for (int b = 0; b < 3; b++) {
      float moments[2][4];
      for (int m = 0; m < pl_optim_moments(r.optim); m++) {
        memcpy(moments[m], pl_optim_moment(r.optim, m), sizeof moments[m]);
      }
      memcpy(before, r.master, bytes);
      fill(space, r.slice, 2, 1, r.gradient);
      r.gradient[pl_space_param(space, 3)->first_block * PL_BLOCK + 23] = bad[b];
      CHECK_OK(pl_optim_step(r.optim, 1, 1, r.master, r.gradient, &norm));
      assert_false(isfinite(norm));
      assert_memory_equal(r.master, before, bytes);
      for (int m = 0; m < pl_optim_moments(r.optim); m++) {
        assert_memory_equal(pl_optim_moment(r.optim, m), moments[m], sizeof moments[m]);
      }
    }
    free_run(&r);
  }
  pl_free(before);
  pl_space_destroy(&space);
}

/* With all gradients zero and no decay, directions have norm 0: nothing moves, nothing is NaN. */
static void zero_gradients_move_nothing(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  size_t bytes = (size_t)pl_space_elements(space) * sizeof(float);
  float *before = pl_alloc(bytes, 1);
  for (int k = 0; k < CASES; k++) {
    pl_optim_options options = cases[k].options;
    options.weight_decay = 0;
    run r = make_run(space, &alone, &options);
    memcpy(before, r.master, bytes);
    for (int step = 0; step < 3; step++) {
      double norm;
      CHECK_OK(pl_optim_step(r.optim, 1, step, r.master, r.gradient, &norm));
      assert_true(norm == 0);
    }
    assert_memory_equal(r.master, before, bytes);
    free_run(&r);
  }
  pl_free(before);
  pl_space_destroy(&space);
}

/* Without momentum and decay SGD is w - lr g, to the bit. */
static void plain_sgd_is_exact(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  run r = make_run(space, &alone, &(pl_optim_options){.kind = PL_OPTIM_SGD});
  double norm;
  fill(space, r.slice, 1, 1, r.gradient);
  CHECK_OK(pl_optim_step(r.optim, 0.125, 0, r.master, r.gradient, &norm));
  for (int t = 0; t < TENSORS; t++) {
    const float *w = r.master + pl_space_param(space, t)->first_block * PL_BLOCK;
    for (int64_t i = 0; i < tensors[t].count; i++) {
      float expected = (tensors[t].zero ? 0 : value(0, t, i)) - 0.125f * value(1, t, i);
      assert_memory_equal(&w[i], &expected, sizeof expected);
    }
  }
  free_run(&r);
  pl_space_destroy(&space);
}

static void senseless_options_are_refused(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  pl_slice *slice;
  CHECK_OK(pl_slice_create(space, 1, 0, &slice));
  const struct {
    pl_optim_options options;
    const char *words;
  } bad[] = {
      {{.kind = (pl_optim_kind)9}, "unknown optimizer"},
      {{.kind = PL_OPTIM_SGD, .momentum = 1}, "momentum"},
      {{.kind = PL_OPTIM_SGD, .momentum = NAN}, "momentum"},
      {{.kind = PL_OPTIM_SGD, .weight_decay = -1}, "weight decay"},
      {{.kind = PL_OPTIM_LARS, .momentum = 0.9}, "trust"},
      {{.kind = PL_OPTIM_ADAMW, .beta1 = 0.9, .beta2 = 1, .epsilon = 1e-8}, "beta2"},
      {{.kind = PL_OPTIM_LAMB, .beta1 = 0.9, .beta2 = 0.99}, "epsilon"},
      {{.kind = PL_OPTIM_LAMB, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-60}, "epsilon"},
  };
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    pl_optim *optim = NULL;
    CHECK_FAILS(PL_E_USAGE, bad[k].words,
                pl_optim_create(&pl_host_device, space, slice, &alone, &bad[k].options, &optim));
    assert_null(optim);
  }
  pl_slice_destroy(&slice);
  pl_space_destroy(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(trajectories_match_the_references),
      cmocka_unit_test(gradient_norm_is_that_of_the_whole),
      cmocka_unit_test(bad_gradients_change_nothing),
      cmocka_unit_test(zero_gradients_move_nothing),
      cmocka_unit_test(plain_sgd_is_exact),
      cmocka_unit_test(senseless_options_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
