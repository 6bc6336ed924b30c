#include "models/encoder.h"

#include "models/resnet.h"

static int resnet_depth(int64_t encoder) {
  switch ((pl_cfg_encoder)encoder) {
    case PL_CFG_ENCODER_RESNET18: return 18;
    case PL_CFG_ENCODER_RESNET34: return 34;
    case PL_CFG_ENCODER_RESNET50: return 50;
  }
  return 0;
}

pl_value pl_encoder(pl_graph *g, const char *prefix, const pl_config *config, pl_value images) {
  pl_resnet_options options = {
      .depth = resnet_depth(config->model.encoder),
      .stem = config->model.stem == PL_CFG_STEM_CIFAR ? PL_STEM_CIFAR : PL_STEM_IMAGENET,
      .width = (int)config->model.width,
      .norm_epsilon = (float)config->model.norm.epsilon,
      .norm_momentum = (float)config->model.norm.momentum,
      .zero_init_residual = config->model.zero_init_residual,
  };
  return pl_resnet(g, prefix, &options, images);
}
