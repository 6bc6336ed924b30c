#include "launch/settings.h"

#include <math.h>

#include "launch/device.h"
#include "runtime/cpu/cpu.h"

pl_lengths pl_lengths_of(const pl_config *config, int64_t samples) {
  pl_lengths l = {.batch = config->batch.global};
  l.steps_per_epoch = (double)samples / (double)l.batch;
  l.steps = config->train.steps >= 0 ? config->train.steps
                                     : (int64_t)ceil(config->train.epochs * l.steps_per_epoch);
  return l;
}

int64_t pl_duration_steps(pl_duration duration, const pl_lengths *lengths) {
  double steps = duration.epochs ? duration.amount * lengths->steps_per_epoch : duration.amount;
  return (int64_t)llround(steps);
}

bool pl_duration_due(pl_duration every, const pl_lengths *lengths, int64_t step) {
  double period = every.epochs ? every.amount * lengths->steps_per_epoch : every.amount;
  if (period <= 0 || step <= 0) return false;
  return floor((double)step / period) > floor((double)(step - 1) / period);
}

int pl_loader_workers_setting(const pl_config *config, int compute_threads) {
  if (config->data.workers > 0) return (int)config->data.workers;
  return compute_threads > 4 ? compute_threads / 4 : 1;
}

pl_augment_options pl_augment_settings(const pl_config *config) {
  pl_augment_options o = {
      .size = (int)config->model.image_size,
      .random_crop = true,
      .crop_min = config->augment.crop_min,
      .crop_max = config->augment.crop_max,
      .aspect_min = config->augment.aspect_min,
      .aspect_max = config->augment.aspect_max,
      .interpolation =
          config->augment.interpolation == PL_CFG_INTERPOLATION_BICUBIC ? PL_BICUBIC : PL_BILINEAR,
      .flip = config->augment.flip,
      .jitter = config->augment.jitter,
      .brightness = config->augment.brightness,
      .contrast = config->augment.contrast,
      .saturation = config->augment.saturation,
      .hue = config->augment.hue,
      .grey = config->augment.grey,
      .blur = config->augment.blur,
      .blur_sigma_min = config->augment.blur_sigma_min,
      .blur_sigma_max = config->augment.blur_sigma_max,
      .blur_kernel = (int)config->augment.blur_kernel,
      .solarize = config->augment.solarize,
      .centre_ratio = config->augment.centre_ratio,
  };
  for (int c = 0; c < 3; c++) {
    o.mean[c] = (float)config->augment.mean[c];
    o.std[c] = (float)config->augment.std[c];
  }
  return o;
}

static pl_optim_kind optim_kind(int64_t name) {
  switch ((pl_cfg_optim)name) {
    case PL_CFG_OPTIM_SGD: return PL_OPTIM_SGD;
    case PL_CFG_OPTIM_LARS: return PL_OPTIM_LARS;
    case PL_CFG_OPTIM_ADAMW: return PL_OPTIM_ADAMW;
    case PL_CFG_OPTIM_LAMB: break;
  }
  return PL_OPTIM_LAMB;
}

pl_optim_options pl_optim_settings(const pl_config *config) {
  return (pl_optim_options){.kind = optim_kind(config->optim.name),
                            .momentum = config->optim.momentum,
                            .nesterov = config->optim.nesterov,
                            .weight_decay = config->optim.weight_decay,
                            .beta1 = config->optim.beta1,
                            .beta2 = config->optim.beta2,
                            .epsilon = config->optim.epsilon,
                            .trust = config->optim.trust,
                            .clip = config->optim.clip};
}

static pl_schedule_kind schedule_kind(int64_t name) {
  switch ((pl_cfg_schedule)name) {
    case PL_CFG_SCHEDULE_CONSTANT: return PL_SCHEDULE_CONSTANT;
    case PL_CFG_SCHEDULE_COSINE: return PL_SCHEDULE_COSINE;
    case PL_CFG_SCHEDULE_LINEAR: return PL_SCHEDULE_LINEAR;
    case PL_CFG_SCHEDULE_STEP: break;
  }
  return PL_SCHEDULE_STEP;
}

static pl_lr_scaling lr_scaling(int64_t name) {
  switch ((pl_cfg_scaling)name) {
    case PL_CFG_SCALING_NONE: return PL_LR_NONE;
    case PL_CFG_SCALING_LINEAR: return PL_LR_LINEAR;
    case PL_CFG_SCALING_SQRT: break;
  }
  return PL_LR_SQRT;
}

pl_schedule pl_schedule_settings(const pl_config *config, const pl_lengths *lengths) {
  pl_schedule s = {
      .kind = schedule_kind(config->optim.schedule),
      .lr = pl_scaled_lr(config->optim.lr, lr_scaling(config->optim.scaling), lengths->batch),
      .warmup = pl_duration_steps(config->optim.warmup, lengths),
      .total = lengths->steps,
      .final_ratio = config->optim.final_ratio,
      .gamma = config->optim.gamma,
      .milestones = config->optim.milestones.count,
  };
  for (int i = 0; i < s.milestones; i++) {
    s.milestone[i] = pl_duration_steps(config->optim.milestones.value[i], lengths);
  }
  return s;
}

int64_t pl_parts_setting(const pl_config *config) {
  enum { USUAL_PARTS = 64 };
  int64_t leaves = config->batch.global / config->batch.micro;
  if (config->batch.parts > 0) return config->batch.parts;
  return leaves < USUAL_PARTS ? leaves : USUAL_PARTS;
}

int pl_parts_levels(const pl_config *config, int ranks) {
  int levels = 0;
  for (int64_t parts = pl_parts_setting(config); (int64_t)ranks << levels < parts;) levels++;
  return levels;
}

pl_status pl_tokenizer_setting(const pl_config *config, pl_tokenizer **out) {
  *out = NULL;
  if (!pl_config_reads_texts(config)) return PL_OK;
  PL_TRY(pl_tokenizer_open(config->data.vocabulary, out));
  char hash[PL_HASH_TEXT];
  pl_hash_text(pl_tokenizer_hash(*out), hash);
  const char *expected = config->data.vocabulary_hash;
  if (expected[0] == '\0' || strcmp(hash, expected) == 0) return PL_OK;
  pl_tokenizer_close(out);
  return PL_FAIL(
      PL_E_DATA,
      "the vocabulary in %s holds other merges (%s) than data.vocabulary_hash says (%s): "
      "texts would become other tokens",
      config->data.vocabulary, hash, expected);
}

pl_status pl_vocabulary_setting(pl_config *config) {
  pl_tokenizer *tokenizer = NULL;
  PL_TRY(pl_tokenizer_setting(config, &tokenizer));
  if (tokenizer) pl_hash_text(pl_tokenizer_hash(tokenizer), config->data.vocabulary_hash);
  pl_tokenizer_close(&tokenizer);
  return PL_OK;
}

pl_status pl_precision_setting(const pl_config *config, pl_dtype *precision) {
  bool has_bf16 = pl_device_is_cuda(config) || pl_cpu_has_bf16();
  switch ((pl_cfg_precision)config->train.precision) {
    case PL_CFG_PRECISION_AUTO: *precision = has_bf16 ? PL_BF16 : PL_F32; break;
    case PL_CFG_PRECISION_F32: *precision = PL_F32; break;
    case PL_CFG_PRECISION_BF16:
      if (!has_bf16) {
        return PL_FAIL(PL_E_USAGE,
                       "train.precision is bf16, which this processor does not compute in; "
                       "use f32 or auto");
      }
      *precision = PL_BF16;
      break;
  }
  return PL_OK;
}
