/* runtime/optim: the same bits whatever the cut of the slices and the number of threads. */
#include <pthread.h>

#include "runtime/base/random.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"
#include "tests/unit/optim_fixture.h"

enum { MOST_RANKS = 7 };

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cuts_do_not_change_a_bit),
      cmocka_unit_test(threads_do_not_change_a_bit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
