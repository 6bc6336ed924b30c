#include "runtime/optim/optim.h"

#include <math.h>
#include <string.h>

#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/optim/rule.h"

struct pl_optim {
  const pl_device *device;
  const pl_optim_engine *engine;
  const pl_space *space;
  const pl_slice *slice;
  const pl_ranks *ranks;
  pl_optim_options options;
  const pl_optim_rule *rule;
  int width;         /* sums per block */
  double *sums;      /* (blocks of the whole vector, width) */
  double *own_sums;  /* (blocks of the slice, width) */
  double *factor;    /* (params): of the rate */
  pl_optim_own *own; /* (params): rates of this step */
  /* In memory of the device. */
  struct {
    int32_t *param; /* (blocks of the slice) */
    pl_optim_own *own;
    double *sums; /* (blocks of the slice, width) */
    float *moment[PL_OPTIM_MOMENTS];
  } there;
};

static const pl_optim_engine *engine_of(const pl_device *device) {
  return device->optim ? device->optim : &pl_optim_host_engine;
}

static pl_status check_options(const pl_optim_options *options) {
  const pl_optim_rule *rule = pl_optim_rule_of(options->kind);
  if (!rule) return PL_FAIL(PL_E_USAGE, "unknown optimizer %d", (int)options->kind);
  if (!(options->weight_decay >= 0)) {
    return PL_FAIL(PL_E_USAGE, "weight decay %g is negative", options->weight_decay);
  }
  if (rule->moments == 2) {
    if (!(options->beta1 >= 0 && options->beta1 < 1 && options->beta2 >= 0 && options->beta2 < 1)) {
      return PL_FAIL(PL_E_USAGE, "beta1 %g or beta2 %g is not in [0, 1)", options->beta1,
                     options->beta2);
    }
    /* Zero would make 0/0 of the padding. */
    if (!((float)options->epsilon > 0)) {
      return PL_FAIL(PL_E_USAGE, "epsilon %g is not above 0", options->epsilon);
    }
  } else if (!(options->momentum >= 0 && options->momentum < 1)) {
    return PL_FAIL(PL_E_USAGE, "momentum %g is not in [0, 1)", options->momentum);
  }
  if (!(options->clip >= 0)) {
    return PL_FAIL(PL_E_USAGE, "the largest norm of a gradient, %g, is negative", options->clip);
  }
  if (options->kind == PL_OPTIM_LARS && !(options->trust > 0)) {
    return PL_FAIL(PL_E_USAGE, "the trust coefficient %g of LARS is not above 0", options->trust);
  }
  return PL_OK;
}

static pl_status reserve_here(pl_optim *optim) {
  size_t params = (size_t)pl_space_params(optim->space), width = (size_t)optim->width;
  optim->sums = pl_alloc((size_t)pl_space_blocks(optim->space) * width, sizeof *optim->sums);
  optim->own_sums = pl_alloc((size_t)optim->slice->blocks * width, sizeof *optim->own_sums);
  optim->own = pl_alloc(params, sizeof *optim->own);
  optim->factor = pl_alloc(params, sizeof *optim->factor);
  if (!optim->sums || !optim->own_sums || !optim->own || !optim->factor) return PL_E_INTERNAL;
  for (size_t p = 0; p < params; p++) {
    bool weight = pl_space_param(optim->space, (int)p)->kind == PL_PARAM_WEIGHT;
    optim->own[p] = (pl_optim_own){.most = INFINITY, .weight = weight};
    optim->factor[p] = 1;
  }
  return PL_OK;
}

/* `count` elements of `size` bytes in memory of the device. */
static pl_status reserve(const pl_optim *optim, size_t count, size_t size, void **out) {
  return optim->device->alloc(count * size, out);
}

static pl_status reserve_there(pl_optim *optim) {
  size_t params = (size_t)pl_space_params(optim->space), blocks = (size_t)optim->slice->blocks;
  size_t width = (size_t)optim->width;
  void *array = NULL;
  PL_TRY(reserve(optim, blocks, sizeof *optim->there.param, &array));
  optim->there.param = array;
  PL_TRY(reserve(optim, params, sizeof *optim->there.own, &array));
  optim->there.own = array;
  PL_TRY(reserve(optim, blocks * width, sizeof *optim->there.sums, &array));
  optim->there.sums = array;
  for (int k = 0; k < optim->rule->moments; k++) {
    PL_TRY(reserve(optim, blocks * PL_BLOCK, sizeof(float), &array));
    optim->there.moment[k] = array;
  }
  return PL_OK;
}

static pl_status tell_own(const pl_optim *optim) {
  size_t params = (size_t)pl_space_params(optim->space);
  return optim->device->put(optim->there.own, optim->own, params * sizeof *optim->own);
}

/* Which parameter each block of the slice belongs to, and which of them are weights. */
static pl_status tell_params(const pl_optim *optim) {
  size_t blocks = (size_t)optim->slice->blocks;
  int32_t *param = pl_alloc(blocks, sizeof *param);
  if (!param) return PL_E_INTERNAL;
  for (size_t b = 0; b < blocks; b++)
    param[b] = pl_space_block_param(optim->space, optim->slice->block[b]);
  pl_status status = optim->device->put(optim->there.param, param, blocks * sizeof *param);
  pl_free(param);
  return status == PL_OK ? tell_own(optim) : status;
}

static pl_status set_up(pl_optim *optim) {
  PL_TRY(reserve_here(optim));
  PL_TRY(reserve_there(optim));
  return tell_params(optim);
}

pl_status pl_optim_create(const pl_device *device, const pl_space *space, const pl_slice *slice,
                          const pl_ranks *ranks, const pl_optim_options *options, pl_optim **out) {
  PL_MEMORY_FOR(PL_MEMORY_MOMENTS);
  *out = NULL;
  PL_TRY(check_options(options));
  pl_optim *optim = pl_alloc(1, sizeof *optim);
  if (!optim) return PL_E_INTERNAL;
  optim->device = device;
  optim->engine = engine_of(device);
  optim->space = space;
  optim->slice = slice;
  optim->ranks = ranks;
  optim->options = *options;
  optim->rule = pl_optim_rule_of(options->kind);
  optim->width = pl_optim_sums(options->kind);
  pl_status status = set_up(optim);
  if (status != PL_OK) pl_optim_destroy(&optim);
  *out = optim;
  return status;
}

void pl_optim_destroy(pl_optim **optim) {
  pl_optim *o = *optim;
  if (!o) return;
  for (int k = 0; k < PL_OPTIM_MOMENTS; k++) o->device->release(o->there.moment[k]);
  o->device->release(o->there.sums);
  o->device->release(o->there.own);
  o->device->release(o->there.param);
  pl_free(o->factor);
  pl_free(o->own);
  pl_free(o->own_sums);
  pl_free(o->sums);
  pl_free(o);
  *optim = NULL;
}

int pl_optim_moments(const pl_optim *optim) { return optim->rule->moments; }

float *pl_optim_moment(pl_optim *optim, int index) { return optim->there.moment[index]; }

const char *pl_optim_moment_name(const pl_optim *optim, int index) {
  return optim->rule->moment_name[index];
}

void pl_optim_scale_rate(pl_optim *optim, int param, double factor) {
  optim->factor[param] *= factor;
}

void pl_optim_bound(pl_optim *optim, int param, double most) {
  optim->own[param].most = (float)most;
}

/* The rates of a step for weights (with decay) or for the rest, before layer-wise ratios. */
static pl_optim_rates rates_of(const pl_optim_options *options, double lr, int64_t step,
                               bool weight) {
  double steps = (double)step + 1;
  return (pl_optim_rates){
      .lr = (float)lr,
      .decay = weight ? (float)options->weight_decay : 0,
      .momentum = (float)options->momentum,
      .share_of_d = options->nesterov ? 1 : 0,
      .share_of_m = options->nesterov ? (float)options->momentum : 1,
      .beta1 = (float)options->beta1,
      .beta2 = (float)options->beta2,
      .epsilon = (float)options->epsilon,
      .rest1 = (float)(1 - options->beta1),
      .rest2 = (float)(1 - options->beta2),
      .correct1 = (float)(1 / (1 - pow(options->beta1, steps))),
      .correct2 = (float)(1 / (1 - pow(options->beta2, steps))),
  };
}

static pl_optim_pass pass_of(const pl_optim *optim, double lr, int64_t step, float *master,
                             const float *gradient) {
  const pl_optim_options *options = &optim->options;
  pl_optim_pass pass = {.kind = options->kind,
                        .blocks = optim->slice->blocks,
                        .param = optim->there.param,
                        .own = optim->there.own,
                        .rates = {[false] = rates_of(options, lr, step, false),
                                  [true] = rates_of(options, lr, step, true)},
                        .gradient = gradient};
  pass.master = master;
  memcpy(pass.moment, optim->there.moment, sizeof pass.moment);
  return pass;
}

/* Fills `sums` with the block sums of this slice and zeros elsewhere. Adding zeros is exact, so the
 * sum over ranks, in whatever tree, is then the vector of all block sums. */
static pl_status measure(pl_optim *optim, const pl_optim_pass *pass) {
  size_t width = (size_t)optim->width, bytes = width * sizeof *optim->sums;
  size_t blocks = (size_t)optim->slice->blocks, all = (size_t)pl_space_blocks(optim->space);
  PL_TRY(optim->engine->measure(pass, optim->there.sums));
  PL_TRY(optim->device->get(optim->own_sums, optim->there.sums, blocks * bytes));
  memset(optim->sums, 0, all * bytes);
  for (size_t b = 0; b < blocks; b++)
    memcpy(optim->sums + (size_t)optim->slice->block[b] * width, optim->own_sums + b * width,
           bytes);
  return optim->ranks->sum(optim->ranks->context, optim->sums, all * width);
}

/* The layer-wise ratio of a weight, from its blocks' sums in block order. */
static double layer_ratio(const pl_optim *optim, const pl_param *param) {
  double master = 0, direction = 0;
  for (int64_t b = param->first_block; b < param->first_block + param->blocks; b++) {
    const double *sums = optim->sums + (size_t)b * PL_OPTIM_SUMS;
    master += sums[PL_OPTIM_SUM_MASTER];
    direction += sums[PL_OPTIM_SUM_DIRECTION];
  }
  if (!(master > 0 && direction > 0)) return 1;
  double trust = optim->options.kind == PL_OPTIM_LARS ? optim->options.trust : 1;
  return trust * sqrt(master) / sqrt(direction);
}

static pl_status choose_rates(pl_optim *optim, double lr) {
  for (int p = 0; p < pl_space_params(optim->space); p++) {
    pl_optim_own *own = &optim->own[p];
    bool layerwise = optim->rule->direction && own->weight;
    double ratio = layerwise ? layer_ratio(optim, pl_space_param(optim->space, p)) : 1;
    float decay = own->weight ? (float)optim->options.weight_decay : 0;
    own->lr = (float)(lr * optim->factor[p] * ratio);
    own->kept = (float)(1 - (double)own->lr * decay);
  }
  return tell_own(optim);
}

static double gradient_square(const pl_optim *optim) {
  double square = 0;
  for (int64_t b = 0; b < pl_space_blocks(optim->space); b++) {
    square += optim->sums[(size_t)b * (size_t)optim->width + PL_OPTIM_SUM_GRADIENT];
  }
  return square;
}

pl_status pl_optim_step(pl_optim *optim, double lr, int64_t step, float *master, float *gradient,
                        double *gradient_norm) {
  const pl_optim_pass pass = pass_of(optim, lr, step, master, gradient);
  double clip = optim->options.clip;
  PL_TRY(measure(optim, &pass));
  *gradient_norm = sqrt(gradient_square(optim));
  if (!isfinite(*gradient_norm)) return PL_OK;
  if (clip > 0 && *gradient_norm > clip) {
    PL_TRY(optim->engine->scale(gradient, (size_t)pass.blocks * PL_BLOCK,
                                (float)(clip / *gradient_norm)));
    /* A layer-wise ratio is one of the direction that the clipped gradient gives. */
    if (optim->rule->direction) PL_TRY(measure(optim, &pass));
  }
  PL_TRY(choose_rates(optim, lr));
  return optim->engine->update(&pass);
}

pl_status pl_optim_follow(const pl_device *device, float *average, const float *values, size_t n,
                          float rate) {
  return engine_of(device)->follow(average, values, n, rate);
}

size_t pl_optim_summed(const pl_optim *optim) {
  return (size_t)pl_space_blocks(optim->space) * (size_t)optim->width;
}
