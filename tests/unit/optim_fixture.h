/* For tests of optimizers: the parameters, gradients and cases of tests/parity/optim_reference.py.
 */
#ifndef TESTS_UNIT_OPTIM_FIXTURE_H
#define TESTS_UNIT_OPTIM_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/optim/optim.h"
#include "tests/check.h"

enum { TENSORS = 5, STEPS = 5 };

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
static inline float value(int64_t salt, int64_t which, int64_t index) {
  int64_t number = (index * 7919 + which * 104729 + salt * 15485863) % 2003 - 1001;
  return (float)number / 1024;
}

/* Several buckets, so that a slice has several pieces. */
static inline pl_space *make_space(void) {
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
static inline void fill(const pl_space *space, const pl_slice *slice, int64_t salt, float scale,
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

static inline run make_run(const pl_space *space, const pl_ranks *ranks,
                           const pl_optim_options *options) {
  run r = {0};
  CHECK_OK(pl_slice_create(space, ranks->count, ranks->rank, &r.slice));
  CHECK_OK(pl_optim_create(&pl_host_device, space, r.slice, ranks, options, &r.optim));
  r.master = pl_alloc((size_t)r.slice->blocks * PL_BLOCK, sizeof(float));
  r.gradient = pl_alloc((size_t)r.slice->blocks * PL_BLOCK, sizeof(float));
  assert_true(r.master && r.gradient);
  fill(space, r.slice, 0, 1, r.master);
  return r;
}

static inline void free_run(run *r) {
  pl_free(r->master);
  pl_free(r->gradient);
  pl_optim_destroy(&r->optim);
  pl_slice_destroy(&r->slice);
}

static inline pl_status run_step(run *r, const pl_space *space, const optim_case *c, int64_t step,
                                 double *norm) {
  fill(space, r->slice, step + 1, 0.25f, r->gradient);
  return pl_optim_step(r->optim, c->lr * rates[step], step, r->master, r->gradient, norm);
}

#endif
