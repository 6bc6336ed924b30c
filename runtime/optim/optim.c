#include "runtime/optim/optim.h"

#include <math.h>
#include <string.h>

#include "runtime/base/lanes.h"
#include "runtime/base/memory.h"
#include "runtime/optim/rule.h"

/* Block sums of squares: of the gradient, the parameter and the rule's direction. Rules without
 * layer-wise rates need only the first. */
enum { SUM_GRADIENT, SUM_MASTER, SUM_DIRECTION, SUMS };

struct pl_optim {
  const pl_space *space;
  const pl_slice *slice;
  const pl_ranks *ranks;
  pl_optim_options options;
  const pl_optim_rule *rule;
  int width;      /* sums per block: 1 or SUMS */
  double *sums;   /* (blocks of the whole vector, width) */
  double *factor; /* (params): of the rate */
  float *lr;      /* (params): the rate of this step */
  float *moment[PL_OPTIM_MOMENTS];
};

static const pl_optim_rule *rule_of(pl_optim_kind kind) {
  switch (kind) {
    case PL_OPTIM_SGD: return &pl_optim_sgd;
    case PL_OPTIM_LARS: return &pl_optim_lars;
    case PL_OPTIM_ADAMW: return &pl_optim_adamw;
    case PL_OPTIM_LAMB: return &pl_optim_lamb;
  }
  return NULL;
}

static pl_status check_options(const pl_optim_options *options) {
  const pl_optim_rule *rule = rule_of(options->kind);
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

pl_status pl_optim_create(const pl_space *space, const pl_slice *slice, const pl_ranks *ranks,
                          const pl_optim_options *options, pl_optim **out) {
  pl_status status;
  *out = NULL;
  pl_optim *optim = NULL;
  PL_TRY_OR(failed, status, check_options(options));
  status = PL_E_INTERNAL;
  optim = pl_alloc(1, sizeof *optim);
  if (!optim) goto failed;
  optim->space = space;
  optim->slice = slice;
  optim->ranks = ranks;
  optim->options = *options;
  optim->rule = rule_of(options->kind);
  optim->width = optim->rule->direction ? SUMS : 1;
  optim->sums = pl_alloc((size_t)pl_space_blocks(space) * (size_t)optim->width, sizeof(double));
  optim->lr = pl_alloc((size_t)pl_space_params(space), sizeof(float));
  optim->factor = pl_alloc((size_t)pl_space_params(space), sizeof(double));
  if (!optim->sums || !optim->lr || !optim->factor) goto failed;
  for (int p = 0; p < pl_space_params(space); p++) optim->factor[p] = 1;
  for (int k = 0; k < optim->rule->moments; k++) {
    optim->moment[k] = pl_alloc((size_t)slice->blocks * PL_BLOCK, sizeof(float));
    if (!optim->moment[k]) goto failed;
  }
  *out = optim;
  return PL_OK;
failed:
  pl_optim_destroy(&optim);
  return status;
}

void pl_optim_destroy(pl_optim **optim) {
  if (!*optim) return;
  for (int k = 0; k < PL_OPTIM_MOMENTS; k++) pl_free((*optim)->moment[k]);
  pl_free((*optim)->factor);
  pl_free((*optim)->lr);
  pl_free((*optim)->sums);
  pl_free(*optim);
  *optim = NULL;
}

int pl_optim_moments(const pl_optim *optim) { return optim->rule->moments; }

float *pl_optim_moment(pl_optim *optim, int index) { return optim->moment[index]; }

const char *pl_optim_moment_name(const pl_optim *optim, int index) {
  return optim->rule->moment_name[index];
}

void pl_optim_scale_rate(pl_optim *optim, int param, double factor) {
  optim->factor[param] *= factor;
}

static bool is_weight(const pl_optim *optim, int param) {
  return pl_space_param(optim->space, param)->kind == PL_PARAM_WEIGHT;
}

/* The rates of a step for weights (with decay) or for the rest, before layer-wise ratios. */
static pl_optim_rates rates_of(const pl_optim_options *options, double lr, int64_t step,
                               bool weight) {
  double steps = (double)step + 1;
  return (pl_optim_rates){
      .lr = (float)lr,
      .decay = weight ? (float)options->weight_decay : 0,
      .momentum = (float)options->momentum,
      .nesterov = options->nesterov,
      .beta1 = (float)options->beta1,
      .beta2 = (float)options->beta2,
      .epsilon = (float)options->epsilon,
      .rest1 = (float)(1 - options->beta1),
      .rest2 = (float)(1 - options->beta2),
      .correct1 = (float)(1 / (1 - pow(options->beta1, steps))),
      .correct2 = (float)(1 / (1 - pow(options->beta2, steps))),
  };
}

static pl_optim_block block_of(const pl_optim *optim, float *master, const float *gradient,
                               int64_t index) {
  int64_t at = index * PL_BLOCK;
  pl_optim_block block = {.gradient = gradient + at};
  block.master = master + at;
  for (int k = 0; k < optim->rule->moments; k++) block.moment[k] = optim->moment[k] + at;
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

/* Fills `sums` with the block sums of this slice and zeros elsewhere. Adding zeros is exact, so the
 * sum over ranks, in whatever tree, is then the vector of all block sums. */
static void measure(pl_optim *optim, const pl_optim_rates rates[2], float *master,
                    const float *gradient) {
  size_t width = (size_t)optim->width;
  memset(optim->sums, 0, (size_t)pl_space_blocks(optim->space) * width * sizeof *optim->sums);
#pragma omp parallel for schedule(static)
  for (int64_t index = 0; index < optim->slice->blocks; index++) {
    int64_t number = optim->slice->block[index];
    pl_optim_block block = block_of(optim, master, gradient, index);
    double *sums = optim->sums + (size_t)number * width;
    sums[SUM_GRADIENT] = sum_of_squares(block.gradient);
    if (optim->rule->direction && is_weight(optim, pl_space_block_param(optim->space, number))) {
      sums[SUM_MASTER] = sum_of_squares(block.master);
      float direction[PL_BLOCK];
      optim->rule->direction(&block, &rates[true], direction);
      sums[SUM_DIRECTION] = sum_of_squares(direction);
    }
  }
}

/* The layer-wise ratio of a weight, from its blocks' sums in block order. */
static double layer_ratio(const pl_optim *optim, const pl_param *param) {
  double master = 0, direction = 0;
  for (int64_t b = param->first_block; b < param->first_block + param->blocks; b++) {
    const double *sums = optim->sums + (size_t)b * SUMS;
    master += sums[SUM_MASTER];
    direction += sums[SUM_DIRECTION];
  }
  if (!(master > 0 && direction > 0)) return 1;
  double trust = optim->options.kind == PL_OPTIM_LARS ? optim->options.trust : 1;
  return trust * sqrt(master) / sqrt(direction);
}

static void choose_rates(pl_optim *optim, double lr) {
  for (int p = 0; p < pl_space_params(optim->space); p++) {
    bool layerwise = optim->rule->direction && is_weight(optim, p);
    double ratio = layerwise ? layer_ratio(optim, pl_space_param(optim->space, p)) : 1;
    optim->lr[p] = (float)(lr * optim->factor[p] * ratio);
  }
}

static void update(pl_optim *optim, const pl_optim_rates rates[2], float *master,
                   const float *gradient) {
#pragma omp parallel for schedule(static)
  for (int64_t index = 0; index < optim->slice->blocks; index++) {
    int param = pl_space_block_param(optim->space, optim->slice->block[index]);
    pl_optim_block block = block_of(optim, master, gradient, index);
    pl_optim_rates own = rates[is_weight(optim, param)];
    own.lr = optim->lr[param];
    optim->rule->update(&block, &own);
  }
}

static double gradient_square(const pl_optim *optim) {
  double square = 0;
  for (int64_t b = 0; b < pl_space_blocks(optim->space); b++) {
    square += optim->sums[(size_t)b * (size_t)optim->width + SUM_GRADIENT];
  }
  return square;
}

static void scale(const pl_optim *optim, float *gradient, float factor) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < optim->slice->blocks * PL_BLOCK; i++) gradient[i] *= factor;
}

/* Block sums over all ranks. */
static pl_status measure_all(pl_optim *optim, const pl_optim_rates rates[2], float *master,
                             const float *gradient) {
  measure(optim, rates, master, gradient);
  size_t sums = (size_t)pl_space_blocks(optim->space) * (size_t)optim->width;
  return optim->ranks->sum(optim->ranks->context, optim->sums, sums);
}

pl_status pl_optim_step(pl_optim *optim, double lr, int64_t step, float *master, float *gradient,
                        double *gradient_norm) {
  const pl_optim_rates rates[2] = {[false] = rates_of(&optim->options, lr, step, false),
                                   [true] = rates_of(&optim->options, lr, step, true)};
  double clip = optim->options.clip;
  PL_TRY(measure_all(optim, rates, master, gradient));
  *gradient_norm = sqrt(gradient_square(optim));
  if (!isfinite(*gradient_norm)) return PL_OK;
  if (clip > 0 && *gradient_norm > clip) {
    scale(optim, gradient, (float)(clip / *gradient_norm));
    /* A layer-wise ratio is one of the direction that the clipped gradient gives. */
    if (optim->rule->direction) PL_TRY(measure_all(optim, rates, master, gradient));
  }
  choose_rates(optim, lr);
  update(optim, rates, master, gradient);
  return PL_OK;
}
