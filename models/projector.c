#include "models/projector.h"

#include <stdio.h>

pl_value pl_mlp_projector(pl_graph *g, const char *prefix, pl_value x, int layers,
                          const int64_t *widths, bool norm, float norm_epsilon,
                          float norm_momentum) {
  char name[PL_NAME_MAX];
  int index = 0; /* place in the sequence; ReLU takes one too */
  for (int layer = 0; layer < layers; layer++) {
    bool last = layer == layers - 1;
    snprintf(name, sizeof name, "%s%d", prefix, index++);
    x = pl_linear(g, name, x, (int)widths[layer], last || !norm);
    if (last) break;
    if (norm) {
      snprintf(name, sizeof name, "%s%d", prefix, index++);
      x = pl_batch_norm(g, name, x, norm_epsilon, norm_momentum, 1.0F);
    }
    x = pl_relu(g, x);
    index++;
  }
  return x;
}
