/* Projection heads. */
#ifndef MODELS_PROJECTOR_H
#define MODELS_PROJECTOR_H

#include "runtime/net/graph.h"

/* The MLP projector of SimCLR (Chen et al. 2020, section 4.2; norm after hidden layers as in its
 * code): for each width but the last linear → [batch norm] → ReLU, then a linear layer. Layers are
 * named as in a PyTorch nn.Sequential: prefix + "0", "1" … . Linear layers before a norm have no
 * bias. `layers` >= 1 widths. */
pl_value pl_mlp_projector(pl_graph *g, const char *prefix, pl_value x, int layers,
                          const int64_t *widths, bool norm, float norm_epsilon,
                          float norm_momentum);

#endif
