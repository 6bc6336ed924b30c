#include "models/encoder.h"

#include "models/resnet.h"
#include "models/vit.h"

pl_gelu pl_gelu_setting(const pl_config *config) {
  return config->model.gelu == PL_CFG_GELU_QUICK ? PL_GELU_QUICK : PL_GELU_EXACT;
}

pl_norm_scope pl_norm_scope_setting(const pl_config *config) {
  switch ((pl_cfg_scope)config->model.norm.scope) {
    case PL_CFG_SCOPE_MICRO: return PL_NORM_MICRO;
    case PL_CFG_SCOPE_RANK: return PL_NORM_RANK;
    case PL_CFG_SCOPE_GLOBAL: break;
  }
  return PL_NORM_GLOBAL;
}

static pl_value resnet(pl_graph *g, const char *prefix, const pl_config *config, pl_value images,
                       int depth) {
  enum { WIDTH = 64 };
  pl_resnet_options options = {
      .depth = depth,
      .stem = config->model.stem == PL_CFG_STEM_CIFAR ? PL_STEM_CIFAR : PL_STEM_IMAGENET,
      .width = config->model.width ? (int)config->model.width : WIDTH,
      .norm_epsilon = (float)config->model.norm.epsilon,
      .norm_momentum = (float)config->model.norm.momentum,
      .zero_init_residual = config->model.zero_init_residual,
  };
  return pl_resnet(g, prefix, &options, images);
}

/* Sizes of Touvron et al. 2021 (tiny, small) and Dosovitskiy et al. 2021 (base, large). */
static pl_value vit(pl_graph *g, const char *prefix, const pl_config *config, pl_value images,
                    int width, int layers, int heads) {
  pl_vit_options options = {
      .patch = (int)config->model.patch,
      .width = config->model.width ? (int)config->model.width : width,
      .blocks = {.layers = config->model.layers ? (int)config->model.layers : layers,
                 .heads = config->model.heads ? (int)config->model.heads : heads,
                 .mlp_ratio = 4,
                 .gelu = pl_gelu_setting(config),
                 .dropout = (float)config->model.dropout},
  };
  return pl_vit(g, prefix, &options, images);
}

pl_value pl_encoder(pl_graph *g, const char *prefix, const pl_config *config, pl_value images) {
  switch ((pl_cfg_encoder)config->model.encoder) {
    case PL_CFG_ENCODER_RESNET18: return resnet(g, prefix, config, images, 18);
    case PL_CFG_ENCODER_RESNET34: return resnet(g, prefix, config, images, 34);
    case PL_CFG_ENCODER_RESNET50: return resnet(g, prefix, config, images, 50);
    case PL_CFG_ENCODER_VIT_TINY: return vit(g, prefix, config, images, 192, 12, 3);
    case PL_CFG_ENCODER_VIT_SMALL: return vit(g, prefix, config, images, 384, 12, 6);
    case PL_CFG_ENCODER_VIT_BASE: return vit(g, prefix, config, images, 768, 12, 12);
    case PL_CFG_ENCODER_VIT_LARGE: return vit(g, prefix, config, images, 1024, 24, 16);
  }
  return -1;
}
