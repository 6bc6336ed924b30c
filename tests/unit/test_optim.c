/* runtime/optim: against stored trajectories of PyTorch and NumPy
 * (tests/parity/optim_reference.py), and the same bits whatever the cut of the slices and the
 * number of threads. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"
#include "runtime/optim/optim.h"
#include "tests/check.h"

enum { TENSORS = 5, STEPS = 5, MOST_RANKS = 7 };

typedef struct tensor {
  int64_t count;
  pl_param_kind kind;
  bool zero; /* starts at zero */
} tensor;

/* As in optim_reference.py. */
static const tensor tensors[TENSORS] = {{1200, PL_PARAM_WEIGHT, false},
                                        {7, PL_PARAM_GAIN, false},
                                        {5, PL_PARAM_BIAS, true},
                                        {24, PL_PARAM_WEIGHT, false},
                                        {3, PL_PARAM_WEIGHT, true}};
static const double rates[STEPS] = {0.5, 1, 0.75, 0.25, 0.125};

typedef struct optim_case {
  const char *name;
  double lr;
  pl_optim_options options;
} optim_case;

static const optim_case cases[] = {
    {"sgd", 0.1, {.kind = PL_OPTIM_SGD, .momentum = 0.9, .weight_decay = 5e-3}},
    {"nesterov",
     0.1,
     {.kind = PL_OPTIM_SGD, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-3}},
    {"adamw",
     0.02,
     {.kind = PL_OPTIM_ADAMW, .weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-6}},
    {"lars", 2, {.kind = PL_OPTIM_LARS, .momentum = 0.9, .weight_decay = 1e-2, .trust = 0.02}},
    {"lars_nesterov",
     2,
     {.kind = PL_OPTIM_LARS,
      .momentum = 0.9,
      .nesterov = true,
      .weight_decay = 1e-2,
      .trust = 0.02}},
    {"lamb",
     0.02,
     {.kind = PL_OPTIM_LAMB, .weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-6}},
};
enum { CASES = sizeof cases / sizeof *cases };

/* value() of optim_reference.py; exact in f32. */
static float value(int64_t salt, int64_t which, int64_t index) {
  int64_t number = (index * 7919 + which * 104729 + salt * 15485863) % 2003 - 1001;
  return (float)number / 1024;
}

/* Several buckets, so that a slice has several pieces. */
static pl_space *make_space(void) {
  pl_space *space;
  CHECK_OK(pl_space_create(&space));
  for (int t = 0; t < TENSORS; t++) {
    char name[32];
    int index;
    snprintf(name, sizeof name, "tensor%d", t);
    CHECK_OK(
        pl_space_add(space, name, tensors[t].kind, 1, &tensors[t].count, (pl_init){0}, &index));
    assert_int_equal(index, t);
  }
  CHECK_OK(pl_space_seal(space, PL_F32, sizeof(float) * PL_BLOCK * 3));
  return space;
}

/* Fills the slice with values (scaled) of tensors[]; zero in the padding. */
static void fill(const pl_space *space, const pl_slice *slice, int64_t salt, float scale,
                 float *values) {
  for (int64_t b = 0; b < slice->blocks; b++) {
    int which = pl_space_block_param(space, slice->block[b]);
    const pl_param *param = pl_space_param(space, which);
    int64_t first = (slice->block[b] - param->first_block) * PL_BLOCK;
    for (int64_t i = 0; i < PL_BLOCK; i++) {
      bool inside = first + i < param->count && !(salt == 0 && tensors[which].zero);
      values[b * PL_BLOCK + i] = inside ? scale * value(salt, which, first + i) : 0;
    }
  }
}

/* One rank's run: master and moments are laid out as pl_slice says. */
typedef struct run {
  pl_slice *slice;
  pl_optim *optim;
  float *master, *gradient;
} run;

static run make_run(const pl_space *space, const pl_ranks *ranks, const pl_optim_options *options) {
  run r = {0};
  CHECK_OK(pl_slice_create(space, ranks->count, ranks->rank, &r.slice));
  CHECK_OK(pl_optim_create(space, r.slice, ranks, options, &r.optim));
  r.master = pl_alloc((size_t)r.slice->blocks * PL_BLOCK, sizeof(float));
  r.gradient = pl_alloc((size_t)r.slice->blocks * PL_BLOCK, sizeof(float));
  assert_true(r.master && r.gradient);
  fill(space, r.slice, 0, 1, r.master);
  return r;
}

static void free_run(run *r) {
  pl_free(r->master);
  pl_free(r->gradient);
  pl_optim_destroy(&r->optim);
  pl_slice_destroy(&r->slice);
}

/* Numbers with all bits in use, so that sums of their squares depend on the order of additions. */
static void fill_random(const pl_space *space, const pl_slice *slice, int64_t step, float *values) {
  for (int64_t b = 0; b < slice->blocks; b++) {
    const pl_param *param = pl_space_param(space, pl_space_block_param(space, slice->block[b]));
    int64_t used = param->count - (slice->block[b] - param->first_block) * PL_BLOCK;
    pl_random random =
        pl_random_stream(1, PL_RANDOM_TEST, (uint32_t)step, (uint64_t)slice->block[b], 0);
    for (int64_t i = 0; i < PL_BLOCK; i++) {
      values[b * PL_BLOCK + i] = i < used ? pl_random_normal(&random) : 0;
    }
  }
}

static pl_status random_step(run *r, const pl_space *space, const optim_case *c, int64_t step,
                             double *norm) {
  fill_random(space, r->slice, step, r->gradient);
  return pl_optim_step(r->optim, c->lr * rates[step], step, r->master, r->gradient, norm);
}

static pl_status run_step(run *r, const pl_space *space, const optim_case *c, int64_t step,
                          double *norm) {
  fill(space, r->slice, step + 1, 0.25f, r->gradient);
  return pl_optim_step(r->optim, c->lr * rates[step], step, r->master, r->gradient, norm);
}

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

/* Ranks simulated by threads that meet at a barrier for every sum. */
typedef struct meeting {
  int count;
  pthread_barrier_t barrier;
  double *values[MOST_RANKS];
  double *pieces, *total;
} meeting;

typedef struct seat {
  meeting *meeting;
  pl_ranks ranks;
  const pl_space *space;
  const optim_case *c;
  run r;
  double norm[STEPS];
  pl_status status;
} seat;

static pl_status meet_and_sum(void *context, double *values, size_t n) {
  seat *s = context;
  meeting *m = s->meeting;
  m->values[s->ranks.rank] = values;
  pthread_barrier_wait(&m->barrier);
  if (s->ranks.rank == 0) {
    m->pieces = pl_alloc(n * (size_t)m->count, sizeof(double));
    m->total = pl_alloc(n, sizeof(double));
    for (int k = 0; k < m->count; k++) {
      memcpy(m->pieces + (size_t)k * n, m->values[k], n * sizeof(double));
    }
    pl_tree_sum_f64(m->total, m->pieces, m->count, n, n);
  }
  pthread_barrier_wait(&m->barrier);
  memcpy(values, m->total, n * sizeof(double));
  pthread_barrier_wait(&m->barrier);
  if (s->ranks.rank == 0) {
    pl_free(m->pieces);
    pl_free(m->total);
  }
  return PL_OK;
}

static void *sit(void *context) {
  seat *s = context;
  pl_threads_use(1);
  for (int step = 0; step < STEPS && s->status == PL_OK; step++) {
    s->status = random_step(&s->r, s->space, s->c, step, &s->norm[step]);
  }
  return NULL;
}

/* Runs a case on simulated ranks; master and moments come back as whole vectors, one after another
 * in `state` (3, elements). */
static void run_on_ranks(const pl_space *space, const optim_case *c, int count, float *state,
                         double norm[STEPS]) {
  meeting m = {.count = count};
  static seat seats[MOST_RANKS];
  pthread_t thread[MOST_RANKS];
  memset(seats, 0, sizeof seats);
  pthread_barrier_init(&m.barrier, NULL, (unsigned)count);
  for (int k = 0; k < count; k++) {
    seats[k] = (seat){.meeting = &m, .space = space, .c = c};
    seats[k].ranks =
        (pl_ranks){.rank = k, .count = count, .context = &seats[k], .sum = meet_and_sum};
    seats[k].r = make_run(space, &seats[k].ranks, &c->options);
  }
  for (int k = 0; k < count; k++) {
    assert_int_equal(pthread_create(&thread[k], NULL, sit, &seats[k]), 0);
  }
  for (int k = 0; k < count; k++) pthread_join(thread[k], NULL);
  pthread_barrier_destroy(&m.barrier);
  int64_t elements = pl_space_elements(space);
  memset(state, 0, (size_t)elements * 3 * sizeof *state);
  for (int k = 0; k < count; k++) {
    run *r = &seats[k].r;
    assert_int_equal(seats[k].status, PL_OK);
    assert_memory_equal(seats[k].norm, seats[0].norm, sizeof seats[0].norm);
    for (int v = 0; v <= pl_optim_moments(r->optim); v++) {
      const float *from = v == 0 ? r->master : pl_optim_moment(r->optim, v - 1);
      for (int64_t b = 0; b < r->slice->blocks; b++) {
        memcpy(state + v * elements + r->slice->block[b] * PL_BLOCK, from + b * PL_BLOCK,
               PL_BLOCK * sizeof(float));
      }
    }
  }
  memcpy(norm, seats[0].norm, sizeof seats[0].norm);
  for (int k = 0; k < count; k++) free_run(&seats[k].r);
}

static void cuts_do_not_change_a_bit(void **state) {
  (void)state;
  const int counts[] = {1, 2, 3, 4, 7};
  pl_space *space = make_space();
  size_t size = (size_t)pl_space_elements(space) * 3;
  float *one = pl_alloc(size, sizeof(float)), *many = pl_alloc(size, sizeof(float));
  for (int k = 0; k < CASES; k++) {
    double norm_one[STEPS], norm_many[STEPS];
    run_on_ranks(space, &cases[k], 1, one, norm_one);
    for (size_t i = 1; i < sizeof counts / sizeof *counts; i++) {
      run_on_ranks(space, &cases[k], counts[i], many, norm_many);
      assert_memory_equal(norm_many, norm_one, sizeof norm_one);
      assert_memory_equal(many, one, size * sizeof(float));
    }
  }
  pl_free(one);
  pl_free(many);
  pl_space_destroy(&space);
}

static void threads_do_not_change_a_bit(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  size_t bytes = (size_t)pl_space_elements(space) * sizeof(float);
  for (int k = 0; k < CASES; k++) {
    run one = make_run(space, &alone, &cases[k].options);
    run two = make_run(space, &alone, &cases[k].options);
    for (int step = 0; step < STEPS; step++) {
      double norm_one, norm_two;
      pl_threads_use(1);
      CHECK_OK(random_step(&one, space, &cases[k], step, &norm_one));
      pl_threads_use(2);
      CHECK_OK(random_step(&two, space, &cases[k], step, &norm_two));
      assert_memory_equal(&norm_one, &norm_two, sizeof norm_one);
    }
    assert_memory_equal(one.master, two.master, bytes);
    for (int m = 0; m < pl_optim_moments(one.optim); m++) {
      assert_memory_equal(pl_optim_moment(one.optim, m), pl_optim_moment(two.optim, m), bytes);
    }
    free_run(&one);
    free_run(&two);
  }
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
                pl_optim_create(space, slice, &alone, &bad[k].options, &optim));
    assert_null(optim);
  }
  pl_slice_destroy(&slice);
  pl_space_destroy(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(trajectories_match_the_references),
      cmocka_unit_test(cuts_do_not_change_a_bit),
      cmocka_unit_test(threads_do_not_change_a_bit),
      cmocka_unit_test(gradient_norm_is_that_of_the_whole),
      cmocka_unit_test(bad_gradients_change_nothing),
      cmocka_unit_test(zero_gradients_move_nothing),
      cmocka_unit_test(plain_sgd_is_exact),
      cmocka_unit_test(senseless_options_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
