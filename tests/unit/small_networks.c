#include "tests/unit/small_networks.h"

static const pl_window SAME = {3, 1, 1}, HALF = {3, 2, 1}, ONE = {1, 2, 0};

static pl_value norm(pl_graph *g, const char *name, pl_value x) {
  return pl_batch_norm(g, name, x, 1e-5F, 0.1F, 1);
}

pl_value small_residual(pl_graph *g, pl_value x) {
  x = pl_relu(g, norm(g, "bn1", pl_conv2d(g, "conv1", x, 8, SAME)));
  x = pl_max_pool(g, x, HALF);
  pl_value y = pl_relu(g, norm(g, "bn2", pl_conv2d(g, "conv2", x, 16, HALF)));
  y = norm(g, "bn3", pl_conv2d(g, "conv3", y, 16, SAME));
  x = norm(g, "bn4", pl_conv2d(g, "down", x, 16, ONE));
  x = pl_global_avg_pool(g, pl_relu(g, pl_add(g, y, x)));
  x = pl_relu(g, norm(g, "bn5", pl_linear(g, "fc1", x, 16, false)));
  return pl_l2_normalize(g, pl_linear(g, "fc2", x, 8, true), 1e-12F);
}

enum { CHANNELS = 16, LENGTH = 6, VOCABULARY = 11 };

static pl_value transformer_block(pl_graph *g, pl_value x, bool causal, float dropout) {
  pl_value y = pl_layer_norm(g, "ln1", x, 1e-5F);
  y = pl_linear_each(g, "in.weight", "in.bias", y, 3 * CHANNELS, 0.2F);
  y = pl_attention(g, "attention", y, 2, causal);
  y = pl_linear_each(g, "out.weight", "out.bias", y, CHANNELS, 0.2F);
  x = pl_add(g, x, dropout > 0 ? pl_dropout(g, y, dropout) : y);
  y = pl_layer_norm(g, "ln2", x, 1e-5F);
  y = pl_linear_each(g, "up.weight", "up.bias", y, 2 * CHANNELS, 0.2F);
  y = pl_gelu_of(g, y, causal ? PL_GELU_QUICK : PL_GELU_EXACT);
  return pl_add(g, x, pl_linear_each(g, "down.weight", "down.bias", y, CHANNELS, 0.2F));
}

pl_value small_vision(pl_graph *g, pl_value x) {
  x = pl_positions(g, "positions", "class", pl_patches(g, "patches", x, CHANNELS, 4), 0.3F);
  x = transformer_block(g, x, false, 0);
  x = pl_layer_norm(g, "last", pl_select_position(g, x, -1, PL_SELECT_FIRST), 1e-5F);
  return pl_l2_normalize(g, pl_project(g, "head", x, 8, true, 0.3F), 1e-12F);
}

pl_value small_text(pl_graph *g, pl_value tokens) {
  pl_value x = pl_embedding(g, "tokens", tokens, VOCABULARY, CHANNELS);
  x = transformer_block(g, pl_positions(g, "positions", NULL, x, 0.3F), true, 0.3F);
  x = pl_select_position(g, x, tokens, PL_SELECT_END);
  return pl_l2_normalize(g, pl_project(g, "head", x, 8, true, 0.3F), 1e-12F);
}

rig_options small_residual_options(const pl_backend *backend, pl_norm_scope scope,
                                   pl_dtype precision) {
  return (rig_options){.build = small_residual,
                       .shape = {8, 8, 3},
                       .rows = 4,
                       .leaves = 4,
                       .scope = scope,
                       .precision = precision,
                       .backend = backend};
}

rig_options small_vision_options(const pl_backend *backend, pl_dtype precision) {
  return (rig_options){.build = small_vision,
                       .shape = {8, 8, 3},
                       .rows = 3,
                       .leaves = 4,
                       .precision = precision,
                       .backend = backend};
}

rig_options small_text_options(const pl_backend *backend, pl_dtype precision) {
  return (rig_options){.build = small_text,
                       .shape = {LENGTH, 1, 1},
                       .vocabulary = VOCABULARY,
                       .rows = 3,
                       .leaves = 4,
                       .precision = precision,
                       .draw_step = 2,
                       .backend = backend};
}
