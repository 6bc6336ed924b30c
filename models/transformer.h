/* The pre-norm transformer (Vaswani et al. 2017; norms first as in GPT-2 and ViT), as OpenAI's CLIP
 * and open_clip build it, names alike, so that weights can be exchanged:
 *   x += out_proj(attention(in_proj(ln_1(x)))), x += c_proj(gelu(c_fc(ln_2(x)))). */
#ifndef MODELS_TRANSFORMER_H
#define MODELS_TRANSFORMER_H

#include "runtime/net/graph.h"

typedef struct pl_transformer_options {
  int layers, heads;
  int mlp_ratio; /* hidden width of the feed-forward part / width; 4 is usual */
  bool causal;
  pl_gelu gelu;
  float dropout; /* of what each branch adds */
} pl_transformer_options;

/* Adds the blocks "prefix" + "resblocks.N." to `g`, over a sequence (rows, length, 1, width).
 * Weights start as in CLIP's text transformer: deviation width^-1/2 for attention, (2·width)^-1/2
 * for the feed-forward part, and for what a branch adds, width^-1/2 · (2·layers)^-1/2. */
pl_value pl_transformer(pl_graph *g, const char *prefix, pl_value x, int width,
                        const pl_transformer_options *options);

#endif
