/* Vision transformers (Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021) as CLIP
 * builds them: no bias in the patch embedding, a norm before the blocks, the class token as
 * representation; names as open_clip's, so that weights can be exchanged. */
#ifndef MODELS_VIT_H
#define MODELS_VIT_H

#include "models/transformer.h"

typedef struct pl_vit_options {
  int patch; /* side in pixels; the image's side is a multiple of it */
  int width;
  pl_transformer_options blocks; /* causal is false */
} pl_vit_options;

/* Adds the network to `g`, reading square `images`; names start with `prefix`. Gives the norm of
 * the class token's last state, (rows, width). */
pl_value pl_vit(pl_graph *g, const char *prefix, const pl_vit_options *options, pl_value images);

#endif
