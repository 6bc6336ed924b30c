/* runtime/optim on real ranks: with its slice on each of them, the state after some steps is, to
 * the bit, what one process alone gets. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/optim/optim.h"
#include "tests/dist/ranks.h"

enum { STEPS = 4 };

static const pl_optim_options options[] = {
    {.kind = PL_OPTIM_SGD, .momentum = 0.9, .nesterov = true, .weight_decay = 1e-3},
    {.kind = PL_OPTIM_LARS, .momentum = 0.9, .weight_decay = 1e-3, .trust = 0.01},
    {.kind = PL_OPTIM_ADAMW, .weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-6},
    {.kind = PL_OPTIM_LAMB, .weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-6}};
enum { KINDS = sizeof options / sizeof *options };

/* Parameters of several blocks and of less than one, in several buckets. */
static pl_space *make_space(void) {
  static const struct {
    const char *name;
    pl_param_kind kind;
    int64_t count;
  } params[] = {{"a", PL_PARAM_WEIGHT, 9000},
                {"b", PL_PARAM_BIAS, 60},
                {"c", PL_PARAM_GAIN, 60},
                {"d", PL_PARAM_WEIGHT, 1024},
                {"e", PL_PARAM_WEIGHT, 3001}};
  pl_space *space;
  CHECK_OK(pl_space_create(&space));
  for (int p = 0; p < 5; p++) {
    int index;
    pl_init init = {.kind = PL_INIT_NORMAL, .scale = 0.1f};
    CHECK_OK(
        pl_space_add(space, params[p].name, params[p].kind, 1, &params[p].count, init, &index));
  }
  CHECK_OK(pl_space_seal(space, PL_F32, sizeof(float) * PL_BLOCK * 4));
  return space;
}

/* A pure function of the step and the block. */
static void fill_gradient(const pl_space *space, const pl_slice *slice, int step, float *gradient) {
  for (int64_t b = 0; b < slice->blocks; b++) {
    const pl_param *param = pl_space_param(space, pl_space_block_param(space, slice->block[b]));
    int64_t used = param->count - (slice->block[b] - param->first_block) * PL_BLOCK;
    pl_random random =
        pl_random_stream(7, PL_RANDOM_TEST, (uint32_t)step, (uint64_t)slice->block[b], 0);
    for (int64_t i = 0; i < PL_BLOCK; i++) {
      gradient[b * PL_BLOCK + i] = i < used ? pl_random_normal(&random) : 0;
    }
  }
}

/* What is left after the steps: blocks of master and moments one after another (1 + moments). */
typedef struct outcome {
  pl_slice *slice;
  float *state;
  size_t elements; /* of one vector */
  int moments;
  double norm[STEPS];
} outcome;

static outcome train(const pl_space *space, const pl_ranks *ranks, const pl_optim_options *chosen) {
  outcome o = {0};
  pl_optim *optim;
  CHECK_OK(pl_slice_create(space, ranks->count, ranks->rank, &o.slice));
  CHECK_OK(pl_optim_create(&pl_host_device, space, o.slice, ranks, chosen, &optim));
  o.moments = pl_optim_moments(optim);
  o.elements = (size_t)o.slice->blocks * PL_BLOCK;
  o.state = pl_alloc(o.elements * (size_t)(o.moments + 1), sizeof(float));
  float *gradient = pl_alloc(o.elements, sizeof(float));
  assert_true(o.state && gradient);
  pl_slice_init_params(space, o.slice, 5, o.state);
  for (int step = 0; step < STEPS; step++) {
    fill_gradient(space, o.slice, step, gradient);
    CHECK_OK(pl_optim_step(optim, 0.1 / (step + 1), step, o.state, gradient, &o.norm[step]));
  }
  for (int m = 0; m < o.moments; m++) {
    memcpy(o.state + o.elements * (size_t)(m + 1), pl_optim_moment(optim, m),
           o.elements * sizeof(float));
  }
  pl_free(gradient);
  pl_optim_destroy(&optim);
  return o;
}

static void free_outcome(outcome *o) {
  pl_free(o->state);
  pl_slice_destroy(&o->slice);
}

static void ranks_do_not_change_a_bit(void **state) {
  const pl_ranks *ranks = pl_comm_ranks(*state);
  pl_space *space = make_space();
  pl_ranks alone = pl_ranks_alone();
  for (int k = 0; k < KINDS; k++) {
    outcome one = train(space, &alone, &options[k]);
    outcome own = train(space, ranks, &options[k]);
    assert_memory_equal(own.norm, one.norm, sizeof one.norm);
    for (size_t v = 0; v <= (size_t)one.moments; v++) {
      for (int64_t b = 0; b < own.slice->blocks; b++) {
        assert_memory_equal(own.state + v * own.elements + b * PL_BLOCK,
                            one.state + v * one.elements + own.slice->block[b] * PL_BLOCK,
                            PL_BLOCK * sizeof(float));
      }
    }
    free_outcome(&one);
    free_outcome(&own);
  }
  pl_space_destroy(&space);
}

/* NaN on the last rank alone: all ranks see a norm that is not finite, and none changes anything.
 */
static void a_bad_gradient_on_one_rank_stops_all(void **state) {
  const pl_ranks *ranks = pl_comm_ranks(*state);
  pl_space *space = make_space();
  for (int k = 0; k < KINDS; k++) {
    pl_slice *slice;
    pl_optim *optim;
    double norm;
    CHECK_OK(pl_slice_create(space, ranks->count, ranks->rank, &slice));
    CHECK_OK(pl_optim_create(&pl_host_device, space, slice, ranks, &options[k], &optim));
    size_t elements = (size_t)slice->blocks * PL_BLOCK;
    assert_true(elements > 0);
    float *master = pl_alloc(elements, sizeof(float)), *before = pl_alloc(elements, sizeof(float));
    float *gradient = pl_alloc(elements, sizeof(float));
    assert_true(master && before && gradient);
    pl_slice_init_params(space, slice, 5, master);
    memcpy(before, master, elements * sizeof(float));
    fill_gradient(space, slice, 0, gradient);
    if (ranks->rank == ranks->count - 1) gradient[0] = NAN;
    CHECK_OK(pl_optim_step(optim, 0.1, 0, master, gradient, &norm));
    assert_true(isnan(norm));
    assert_memory_equal(master, before, elements * sizeof(float));
    for (int m = 0; m < pl_optim_moments(optim); m++) {
      for (size_t i = 0; i < elements; i++) assert_true(pl_optim_moment(optim, m)[i] == 0);
    }
    pl_free(gradient);
    pl_free(before);
    pl_free(master);
    pl_optim_destroy(&optim);
    pl_slice_destroy(&slice);
  }
  pl_space_destroy(&space);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranks_do_not_change_a_bit),
      cmocka_unit_test(a_bad_gradient_on_one_rank_stops_all),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
