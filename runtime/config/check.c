/* What concerns several keys at once. Each key's own range is checked when it is read. */
#include <string.h>

#include "runtime/config/keys.h"

/* The divisor of `global` that is nearest to `micro`; the smaller of two equally near. */
static int64_t nearest_divisor(int64_t global, int64_t micro) {
  for (int64_t distance = 0; distance < micro; distance++) {
    if (global % (micro - distance) == 0) return micro - distance;
    if (global % (micro + distance) == 0) return micro + distance;
  }
  return 1;
}

static pl_status check_batch(const pl_config *config) {
  int64_t global = config->batch.global, micro = config->batch.micro;
  if (global % micro == 0) return PL_OK;
  int64_t below = global / micro * micro;
  if (below == 0) {
    return PL_FAIL(PL_E_USAGE,
                   "batch.global %lld is smaller than batch.micro %lld: use batch.micro=%lld",
                   (long long)global, (long long)micro, (long long)global);
  }
  return PL_FAIL(
      PL_E_USAGE,
      "batch.global %lld is not a multiple of batch.micro %lld: use batch.global=%lld or "
      "%lld, or batch.micro=%lld",
      (long long)global, (long long)micro, (long long)below, (long long)(below + micro),
      (long long)nearest_divisor(global, micro));
}

static bool has_batch_norm(const pl_config *config) {
  bool resnet = config->model.encoder < PL_CFG_ENCODER_VIT_TINY;
  return resnet || (config->method.name == PL_CFG_METHOD_SIMCLR && config->method.projector_norm);
}

static pl_status check_recompute(const pl_config *config) {
  int64_t scope = config->model.norm.scope;
  if (config->batch.activations != PL_CFG_ACTIVATIONS_RECOMPUTE || scope == PL_CFG_SCOPE_MICRO ||
      !has_batch_norm(config)) {
    return PL_OK;
  }
  return PL_FAIL(PL_E_USAGE,
                 "batch.activations=recompute works on one micro-batch at a time, but batch norm "
                 "with model.norm.scope=%s needs the statistics of several: use "
                 "model.norm.scope=micro, or batch.activations=keep",
                 scope == PL_CFG_SCOPE_RANK ? "rank" : "global");
}

static pl_status check_ordered(const char *low_name, double low, const char *high_name,
                               double high) {
  if (low <= high) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "%s %g is above %s %g", low_name, low, high_name, high);
}

static pl_status check_augment(const pl_config *config) {
  PL_TRY(check_ordered("augment.crop_min", config->augment.crop_min, "augment.crop_max",
                       config->augment.crop_max));
  PL_TRY(check_ordered("augment.aspect_min", config->augment.aspect_min, "augment.aspect_max",
                       config->augment.aspect_max));
  PL_TRY(check_ordered("augment.blur_sigma_min", config->augment.blur_sigma_min,
                       "augment.blur_sigma_max", config->augment.blur_sigma_max));
  int64_t kernel = config->augment.blur_kernel;
  if (kernel != 0 && kernel % 2 == 0) {
    return PL_FAIL(PL_E_USAGE, "augment.blur_kernel must be odd or auto, not %lld",
                   (long long)kernel);
  }
  return PL_OK;
}

static pl_status check_milestones(const pl_config *config) {
  const pl_duration_list *milestones = &config->optim.milestones;
  if (config->optim.schedule == PL_CFG_SCHEDULE_STEP && milestones->count == 0) {
    return PL_FAIL(PL_E_USAGE, "optim.schedule=step needs optim.milestones");
  }
  for (int i = 1; i < milestones->count; i++) {
    const pl_duration *before = &milestones->value[i - 1], *here = &milestones->value[i];
    if (here->epochs != before->epochs) {
      return PL_FAIL(PL_E_USAGE, "optim.milestones mixes epochs and steps");
    }
    if (here->amount <= before->amount) {
      return PL_FAIL(PL_E_USAGE, "optim.milestones must ascend, but %g follows %g", here->amount,
                     before->amount);
    }
  }
  return PL_OK;
}

static pl_status check_run(const pl_config *config) {
  const char *name = config->run.name;
  if (*name == '\0') return PL_FAIL(PL_E_USAGE, "run.name is empty");
  if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    return PL_FAIL(PL_E_USAGE, "run.name '%s' can't be the name of a folder; run.dir takes a path",
                   name);
  }
  if (config->run.overwrite && config->run.resume == PL_CFG_RESUME_AUTO) {
    return PL_FAIL(PL_E_USAGE,
                   "run.overwrite removes the run that run.resume=auto would go on with: give one "
                   "of the two");
  }
  if (*config->data.train == '\0') {
    return PL_FAIL(PL_E_USAGE, "data.train is not given: it names the dataset folder to train on");
  }
  return PL_OK;
}

static pl_status check_optim(const pl_config *config) {
  int64_t name = config->optim.name;
  bool has_momentum = name == PL_CFG_OPTIM_SGD || name == PL_CFG_OPTIM_LARS;
  if (has_momentum && config->optim.nesterov && config->optim.momentum == 0) {
    return PL_FAIL(PL_E_USAGE, "optim.nesterov needs optim.momentum above 0");
  }
  return check_milestones(config);
}

bool pl_config_reads_texts(const pl_config *config) {
  return config->method.name == PL_CFG_METHOD_CLIP || config->method.name == PL_CFG_METHOD_SIGLIP;
}

bool pl_config_judges(const pl_config *config, pl_cfg_eval kind) {
  const pl_int_list *kinds = &config->eval.kind;
  for (int i = 0; i < kinds->count; i++) {
    if (kinds->value[i] == (int64_t)kind) return true;
  }
  pl_cfg_eval usual = pl_config_reads_texts(config) ? PL_CFG_EVAL_RETRIEVAL : PL_CFG_EVAL_KNN;
  return kinds->count == 0 && kind == usual;
}

static const char *const eval_name[] = {[PL_CFG_EVAL_KNN] = "knn",
                                        [PL_CFG_EVAL_LINEAR] = "linear",
                                        [PL_CFG_EVAL_ZEROSHOT] = "zeroshot",
                                        [PL_CFG_EVAL_RETRIEVAL] = "retrieval"};

/* What the best checkpoint is chosen by must be judged. */
static pl_status check_best(const pl_config *config) {
  int64_t best = config->checkpoint.best;
  if (best < PL_CFG_BEST_KNN) return PL_OK;
  pl_cfg_eval kind = (pl_cfg_eval)(best - PL_CFG_BEST_KNN);
  if (config->eval.every.amount == 0) {
    return PL_FAIL(PL_E_USAGE, "checkpoint.best=%s needs eval.every above 0", eval_name[kind]);
  }
  if (pl_config_judges(config, kind)) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "checkpoint.best=%s needs %s in eval.kind", eval_name[kind],
                 eval_name[kind]);
}

static pl_status check_kinds(const pl_config *config) {
  static const pl_cfg_eval with_texts[] = {PL_CFG_EVAL_ZEROSHOT, PL_CFG_EVAL_RETRIEVAL};
  for (size_t i = 0; i < sizeof with_texts / sizeof *with_texts; i++) {
    if (!pl_config_judges(config, with_texts[i]) || pl_config_reads_texts(config)) continue;
    return PL_FAIL(PL_E_USAGE, "eval.kind %s needs a method that reads texts: clip or siglip",
                   eval_name[with_texts[i]]);
  }
  return check_best(config);
}

static pl_status check_eval(const pl_config *config) {
  if (config->eval.every.amount > 0 && *config->data.val == '\0') {
    return PL_FAIL(PL_E_USAGE, "eval.every needs data.val, the dataset folder to evaluate on");
  }
  if (config->eval.weights == PL_CFG_WEIGHTS_AVERAGE && config->optim.average == 0) {
    return PL_FAIL(PL_E_USAGE, "eval.weights=average needs optim.average above 0");
  }
  int rates = config->eval.linear.rates.count;
  if (rates == 0) return PL_FAIL(PL_E_USAGE, "eval.linear.rates is empty");
  if (rates > 1 && config->eval.linear.holdout == 0) {
    return PL_FAIL(PL_E_USAGE,
                   "eval.linear.holdout 0 leaves nothing to choose by among the %d of "
                   "eval.linear.rates: give a share, or one rate",
                   rates);
  }
  return check_kinds(config);
}

static pl_status check_heads(const char *what, int64_t width, int64_t heads) {
  if (width == 0 || heads == 0 || width % heads == 0) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "%s.width %lld is not a multiple of %s.heads %lld", what,
                 (long long)width, what, (long long)heads);
}

static pl_status check_transformers(const pl_config *config) {
  bool vit = config->model.encoder >= PL_CFG_ENCODER_VIT_TINY;
  if (vit && config->model.image_size % config->model.patch != 0) {
    return PL_FAIL(PL_E_USAGE, "model.image_size %lld is not a multiple of model.patch %lld",
                   (long long)config->model.image_size, (long long)config->model.patch);
  }
  if (vit) PL_TRY(check_heads("model", config->model.width, config->model.heads));
  if (!pl_config_reads_texts(config)) return PL_OK;
  if (*config->data.vocabulary == '\0') {
    return PL_FAIL(PL_E_USAGE,
                   "data.vocabulary is not given: it names the file of byte-pair merges, such as "
                   "CLIP's bpe_simple_vocab_16e6.txt.gz");
  }
  return check_heads("model.text", config->model.text.width, config->model.text.heads);
}

pl_status pl_config_check(const pl_config *config) {
  PL_TRY(check_run(config));
  PL_TRY(check_batch(config));
  PL_TRY(check_recompute(config));
  if (config->method.projector.count == 0) {
    return PL_FAIL(PL_E_USAGE, "method.projector is empty: its last layer makes the embedding");
  }
  PL_TRY(check_transformers(config));
  PL_TRY(check_augment(config));
  PL_TRY(check_optim(config));
  return check_eval(config);
}
