#include "models/vit.h"

#include <math.h>
#include <stdio.h>

static const float NORM_EPSILON = 1e-5F;

pl_value pl_vit(pl_graph *g, const char *prefix, const pl_vit_options *options, pl_value images) {
  float deviation = 1 / sqrtf((float)options->width);
  char name[PL_NAME_MAX], positions[PL_NAME_MAX];
  snprintf(name, sizeof name, "%sconv1", prefix);
  pl_value x = pl_patches(g, name, images, options->width, options->patch);
  snprintf(name, sizeof name, "%sclass_embedding", prefix);
  snprintf(positions, sizeof positions, "%spositional_embedding", prefix);
  x = pl_positions(g, positions, name, x, deviation);
  snprintf(name, sizeof name, "%sln_pre", prefix);
  x = pl_layer_norm(g, name, x, NORM_EPSILON);
  snprintf(name, sizeof name, "%stransformer.", prefix);
  x = pl_transformer(g, name, x, options->width, &options->blocks);
  x = pl_select_position(g, x, -1, PL_SELECT_FIRST);
  snprintf(name, sizeof name, "%sln_post", prefix);
  return pl_layer_norm(g, name, x, NORM_EPSILON);
}
