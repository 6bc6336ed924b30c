/* Passes over a slice that lies in the host's memory: block by block, over all threads. */
#include <string.h>

#include "runtime/base/lanes.h"
#include "runtime/optim/element.h"

const pl_optim_rule *pl_optim_rule_of(pl_optim_kind kind) {
  switch (kind) {
    case PL_OPTIM_SGD: return &pl_optim_sgd;
    case PL_OPTIM_LARS: return &pl_optim_lars;
    case PL_OPTIM_ADAMW: return &pl_optim_adamw;
    case PL_OPTIM_LAMB: return &pl_optim_lamb;
  }
  return NULL;
}

static pl_optim_block block_of(const pl_optim_pass *pass, int64_t index) {
  int64_t at = index * PL_BLOCK;
  pl_optim_block block = {.master = pass->master + at, .gradient = pass->gradient + at};
  for (int k = 0; k < PL_OPTIM_MOMENTS; k++) {
    if (pass->moment[k]) block.moment[k] = pass->moment[k] + at;
  }
  return block;
}

/* A block has one sum, wherever it lies. The squares of floats are exact in double. */
static double sum_of_squares(const float *values) {
  double lane[PL_LANES] = {0};
  for (int i = 0; i < PL_BLOCK; i += PL_LANES) {
#pragma omp simd
    for (int k = 0; k < PL_LANES; k++) lane[k] += (double)values[i + k] * values[i + k];
  }
  return pl_fold_f64(lane);
}

static pl_status host_measure(const pl_optim_pass *pass, double *sums) {
  const pl_optim_rule *rule = pl_optim_rule_of(pass->kind);
  size_t width = (size_t)pl_optim_sums(pass->kind);
#pragma omp parallel for schedule(static)
  for (int64_t index = 0; index < pass->blocks; index++) {
    pl_optim_block block = block_of(pass, index);
    double *own = sums + (size_t)index * width;
    memset(own, 0, width * sizeof *own);
    own[PL_OPTIM_SUM_GRADIENT] = sum_of_squares(block.gradient);
    if (rule->direction && pass->own[pass->param[index]].weight) {
      float direction[PL_BLOCK];
      own[PL_OPTIM_SUM_MASTER] = sum_of_squares(block.master);
      rule->direction(&block, &pass->rates[true], direction);
      own[PL_OPTIM_SUM_DIRECTION] = sum_of_squares(direction);
    }
  }
  return PL_OK;
}

static pl_status host_update(const pl_optim_pass *pass) {
  const pl_optim_rule *rule = pl_optim_rule_of(pass->kind);
#pragma omp parallel for schedule(static)
  for (int64_t index = 0; index < pass->blocks; index++) {
    pl_optim_block block = block_of(pass, index);
    pl_optim_rates rates = pl_optim_rates_of(pass, &pass->own[pass->param[index]]);
    rule->update(&block, &rates);
  }
  return PL_OK;
}

static pl_status host_scale(float *values, size_t n, float factor) {
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++) values[i] *= factor;
  return PL_OK;
}

static pl_status host_follow(float *average, const float *values, size_t n, float rate) {
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++) average[i] += rate * (values[i] - average[i]);
  return PL_OK;
}

const pl_optim_engine pl_optim_host_engine = {
    .measure = host_measure, .update = host_update, .scale = host_scale, .follow = host_follow};
