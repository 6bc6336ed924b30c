#include "models/transformer.h"

#include <math.h>
#include <stdio.h>

static const float NORM_EPSILON = 1e-5F; /* PyTorch's default, which CLIP uses */

/* What the blocks share while the network is built. */
typedef struct builder {
  pl_graph *g;
  char block[PL_NAME_MAX / 2]; /* name of the block under way, with its dot */
  int width;
  const pl_transformer_options *options;
} builder;

static pl_value norm(const builder *b, const char *name, pl_value x) {
  char full[PL_NAME_MAX];
  snprintf(full, sizeof full, "%s%s", b->block, name);
  return pl_layer_norm(b->g, full, x, NORM_EPSILON);
}

/* Linear at each position; weight and bias are the block's name, `name` and their own ends. */
static pl_value linear(const builder *b, const char *name, const char *weight_end,
                       const char *bias_end, pl_value x, int features, float deviation) {
  char weight[PL_NAME_MAX], bias[PL_NAME_MAX];
  snprintf(weight, sizeof weight, "%s%s%s", b->block, name, weight_end);
  snprintf(bias, sizeof bias, "%s%s%s", b->block, name, bias_end);
  return pl_linear_each(b->g, weight, bias, x, features, deviation);
}

/* x + what a branch gives. */
static pl_value add_branch(const builder *b, pl_value x, pl_value branch) {
  return pl_add(b->g, pl_dropout(b->g, branch, b->options->dropout), x);
}

static pl_value attention_branch(const builder *b, pl_value x) {
  float deviation = 1 / sqrtf((float)b->width);
  float out_deviation = deviation / sqrtf(2 * (float)b->options->layers);
  char name[PL_NAME_MAX];
  snprintf(name, sizeof name, "%sattn", b->block);
  pl_value h = norm(b, "ln_1", x);
  h = linear(b, "attn.in_proj", "_weight", "_bias", h, 3 * b->width, deviation);
  h = pl_attention(b->g, name, h, b->options->heads, b->options->causal);
  return linear(b, "attn.out_proj", ".weight", ".bias", h, b->width, out_deviation);
}

static pl_value feed_forward_branch(const builder *b, pl_value x) {
  float deviation = 1 / sqrtf(2 * (float)b->width);
  float out_deviation = 1 / sqrtf((float)b->width) / sqrtf(2 * (float)b->options->layers);
  pl_value h = norm(b, "ln_2", x);
  h = linear(b, "mlp.c_fc", ".weight", ".bias", h, b->options->mlp_ratio * b->width, deviation);
  h = pl_gelu_of(b->g, h, b->options->gelu);
  return linear(b, "mlp.c_proj", ".weight", ".bias", h, b->width, out_deviation);
}

pl_value pl_transformer(pl_graph *g, const char *prefix, pl_value x, int width,
                        const pl_transformer_options *options) {
  builder b = {.g = g, .width = width, .options = options};
  for (int layer = 0; layer < options->layers; layer++) {
    snprintf(b.block, sizeof b.block, "%sresblocks.%d.", prefix, layer);
    x = add_branch(&b, x, attention_branch(&b, x));
    x = add_branch(&b, x, feed_forward_branch(&b, x));
  }
  return x;
}
