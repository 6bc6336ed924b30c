#include "models/text_transformer.h"

#include <stdio.h>

static const float NORM_EPSILON = 1e-5F, POSITION_DEVIATION = 0.01F;

pl_value pl_text_transformer(pl_graph *g, const char *prefix, const pl_text_options *options,
                             pl_value tokens) {
  char name[PL_NAME_MAX];
  snprintf(name, sizeof name, "%stoken_embedding", prefix);
  pl_value x = pl_embedding(g, name, tokens, options->vocabulary, options->width);
  snprintf(name, sizeof name, "%spositional_embedding", prefix);
  x = pl_positions(g, name, NULL, x, POSITION_DEVIATION);
  snprintf(name, sizeof name, "%stransformer.", prefix);
  x = pl_transformer(g, name, x, options->width, &options->blocks);
  /* A norm works on each position by itself, so selecting first gives the same, for less. */
  x = pl_select_position(g, x, tokens, PL_SELECT_END);
  snprintf(name, sizeof name, "%sln_final", prefix);
  return pl_layer_norm(g, name, x, NORM_EPSILON);
}
