/* Residual networks (He et al., "Deep residual learning for image recognition", CVPR 2016), as
 * torchvision builds them: stride in the 3×3 convolution of a bottleneck, names alike, so that
 * weights can be exchanged. The last fully connected layer is left out: the output is the pooled
 * representation. */
#ifndef MODELS_RESNET_H
#define MODELS_RESNET_H

#include "runtime/net/graph.h"

typedef enum pl_stem {
  PL_STEM_IMAGENET, /* 7×7 convolution of stride 2, then 3×3 max pooling of stride 2 */
  PL_STEM_CIFAR     /* 3×3 convolution of stride 1, no pooling (SimCLR, appendix B.9) */
} pl_stem;

typedef struct pl_resnet_options {
  int depth; /* 18, 34 or 50 */
  pl_stem stem;
  int width; /* channels of the first stage; 64 in the paper */
  float norm_epsilon, norm_momentum;
  bool zero_init_residual; /* gain 0 in the last norm of each block (Goyal et al. 2017) */
} pl_resnet_options;

/* Elements of the representation: 8 · width, times 4 for bottlenecks. */
int pl_resnet_features(const pl_resnet_options *options);

/* Adds the network to `g`, reading `images`; names start with `prefix`. Gives (rows, features). */
pl_value pl_resnet(pl_graph *g, const char *prefix, const pl_resnet_options *options,
                   pl_value images);

#endif
