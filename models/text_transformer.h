/* CLIP's text transformer (Radford et al. 2021, section 2.4): causal, the state at the end token as
 * representation; names as open_clip's. */
#ifndef MODELS_TEXT_TRANSFORMER_H
#define MODELS_TEXT_TRANSFORMER_H

#include "models/transformer.h"

typedef struct pl_text_options {
  int vocabulary, context;
  int width;
  pl_transformer_options blocks; /* causal is true */
} pl_text_options;

/* Adds the network to `g`, reading token ids (rows, context); names start with `prefix`. Gives the
 * norm of the end token's last state, (rows, width). */
pl_value pl_text_transformer(pl_graph *g, const char *prefix, const pl_text_options *options,
                             pl_value tokens);

#endif
