#include "models/resnet.h"

#include <stdio.h>

/* What a stage's blocks share while the network is built. */
typedef struct builder {
  pl_graph *g;
  const char *prefix;
  const pl_resnet_options *options;
  bool bottleneck;
} builder;

enum { STAGES = 4, BOTTLENECK_EXPANSION = 4, BLOCK_NAME = 32 };

static const int *blocks_per_stage(int depth) {
  static const int of_18[STAGES] = {2, 2, 2, 2};
  static const int of_34_and_50[STAGES] = {3, 4, 6, 3};
  return depth == 18 ? of_18 : of_34_and_50;
}

static bool is_bottleneck(const pl_resnet_options *options) { return options->depth == 50; }

int pl_resnet_features(const pl_resnet_options *options) {
  return 8 * options->width * (is_bottleneck(options) ? BOTTLENECK_EXPANSION : 1);
}

static pl_value conv(const builder *b, const char *name, pl_value x, int channels, int kernel,
                     int stride) {
  char full[PL_NAME_MAX];
  snprintf(full, sizeof full, "%s%s", b->prefix, name);
  return pl_conv2d(b->g, full, x, channels,
                   (pl_window){.kernel = kernel, .stride = stride, .pad = kernel / 2});
}

static pl_value norm(const builder *b, const char *name, pl_value x, float gain) {
  char full[PL_NAME_MAX];
  snprintf(full, sizeof full, "%s%s", b->prefix, name);
  return pl_batch_norm(b->g, full, x, b->options->norm_epsilon, b->options->norm_momentum, gain);
}

/* One convolution of a block and its norm, named "layerS.B.convI" and "layerS.B.bnI". */
static pl_value conv_norm(const builder *b, const char *block, int index, pl_value x, int channels,
                          int kernel, int stride, float gain) {
  char name[PL_NAME_MAX];
  snprintf(name, sizeof name, "%s.conv%d", block, index);
  x = conv(b, name, x, channels, kernel, stride);
  snprintf(name, sizeof name, "%s.bn%d", block, index);
  return norm(b, name, x, gain);
}

/* The shortcut: x itself, or a 1×1 convolution and norm where shape changes. */
static pl_value shortcut(const builder *b, const char *block, pl_value x, int channels, int stride,
                         bool project) {
  if (!project) return x;
  char name[PL_NAME_MAX];
  snprintf(name, sizeof name, "%s.downsample.0", block);
  x = conv(b, name, x, channels, 1, stride);
  snprintf(name, sizeof name, "%s.downsample.1", block);
  return norm(b, name, x, 1.0F);
}

static pl_value residual_block(const builder *b, const char *block, pl_value x, int width,
                               int stride, bool project) {
  float last_gain = b->options->zero_init_residual ? 0.0F : 1.0F;
  pl_value y = x;
  int channels = width;
  if (b->bottleneck) {
    channels = width * BOTTLENECK_EXPANSION;
    y = pl_relu(b->g, conv_norm(b, block, 1, y, width, 1, 1, 1.0F));
    y = pl_relu(b->g, conv_norm(b, block, 2, y, width, 3, stride, 1.0F));
    y = conv_norm(b, block, 3, y, channels, 1, 1, last_gain);
  } else {
    y = pl_relu(b->g, conv_norm(b, block, 1, y, width, 3, stride, 1.0F));
    y = conv_norm(b, block, 2, y, width, 3, 1, last_gain);
  }
  pl_value skip = shortcut(b, block, x, channels, stride, project);
  return pl_relu(b->g, pl_add(b->g, y, skip));
}

static pl_value stem(const builder *b, pl_value x) {
  bool cifar = b->options->stem == PL_STEM_CIFAR;
  x = conv(b, "conv1", x, b->options->width, cifar ? 3 : 7, cifar ? 1 : 2);
  x = pl_relu(b->g, norm(b, "bn1", x, 1.0F));
  return cifar ? x : pl_max_pool(b->g, x, (pl_window){.kernel = 3, .stride = 2, .pad = 1});
}

pl_value pl_resnet(pl_graph *g, const char *prefix, const pl_resnet_options *options,
                   pl_value images) {
  builder b = {g, prefix, options, is_bottleneck(options)};
  pl_value x = stem(&b, images);
  for (int stage = 0; stage < STAGES; stage++) {
    int width = options->width << stage;
    for (int block = 0; block < blocks_per_stage(options->depth)[stage]; block++) {
      char name[BLOCK_NAME];
      snprintf(name, sizeof name, "layer%d.%d", stage + 1, block);
      int stride = block == 0 && stage > 0 ? 2 : 1;
      bool project = block == 0 && (stage > 0 || b.bottleneck);
      x = residual_block(&b, name, x, width, stride, project);
    }
  }
  return pl_global_avg_pool(g, x);
}
