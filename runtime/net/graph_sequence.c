/* The builders of sequences: what transformers of images and texts are made of. */
#include "runtime/net/graph_build.h"

static int positions_of(pl_shape shape) { return shape.height * shape.width; }

/* As pl_build_begin, from a sequence: (length, 1, channels). */
static bool begin_sequence(pl_graph *g, pl_op_kind kind, const char *name, pl_value x, pl_op *op) {
  if (!pl_build_usable(g, name, x) || !pl_build_begin(g, kind, name, x, op)) return false;
  if (op->in_shape.width == 1) return true;
  PL_BUILD_ERROR(g, "%s reads %d×%d positions, which are no sequence", op->name,
                 op->in_shape.height, op->in_shape.width);
  return false;
}

pl_value pl_tokens(pl_graph *g, int length) {
  return pl_build_source(g, PL_OP_TOKENS, "tokens", (pl_shape){length, 1, 1});
}

pl_value pl_embedding(pl_graph *g, const char *name, pl_value tokens, int vocabulary,
                      int channels) {
  pl_op op;
  if (!pl_build_exists(g, name, tokens) || !pl_build_begin(g, PL_OP_EMBEDDING, name, tokens, &op)) {
    return -1;
  }
  if (g->op[tokens].kind != PL_OP_TOKENS) {
    return PL_BUILD_ERROR(g, "%s reads activations, not token ids", op.name);
  }
  if (vocabulary < 1 || channels < 1) {
    return PL_BUILD_ERROR(g, "%s: %d tokens of %d channels", op.name, vocabulary, channels);
  }
  op.out_shape.channels = channels;
  int64_t dim[2] = {vocabulary, channels};
  pl_init init = {PL_INIT_NORMAL, 0.02F};
  if (!pl_build_param_of(g, &op, "weight", PL_PARAM_WEIGHT, 2, dim, init, &op.weight)) return -1;
  return pl_build_append(g, &op);
}

pl_value pl_positions(pl_graph *g, const char *position_name, const char *class_name, pl_value x,
                      float deviation) {
  pl_op op;
  if (!pl_build_usable(g, position_name, x) ||
      !pl_build_begin(g, PL_OP_POSITIONS, position_name, x, &op)) {
    return -1;
  }
  int length = positions_of(op.in_shape) + (class_name ? 1 : 0);
  op.out_shape = (pl_shape){length, 1, op.in_shape.channels};
  int64_t dim[2] = {length, op.in_shape.channels};
  pl_init init = {PL_INIT_NORMAL, deviation};
  /* A vector, as biases and gains are, and treated as those are. */
  if (class_name && !pl_build_param(g, class_name, PL_PARAM_BIAS, 1, &dim[1], init, &op.bias)) {
    return -1;
  }
  if (!pl_build_param(g, position_name, PL_PARAM_WEIGHT, 2, dim, init, &op.weight)) return -1;
  return pl_build_append(g, &op);
}

pl_value pl_layer_norm(pl_graph *g, const char *name, pl_value x, float epsilon) {
  pl_op op;
  if (!pl_build_usable(g, name, x) || !pl_build_begin(g, PL_OP_LAYER_NORM, name, x, &op)) return -1;
  op.epsilon = epsilon;
  int64_t dim = op.in_shape.channels;
  pl_init gains = {PL_INIT_CONSTANT, 1};
  pl_init biases = {PL_INIT_CONSTANT, 0};
  if (!pl_build_param_of(g, &op, "weight", PL_PARAM_GAIN, 1, &dim, gains, &op.weight) ||
      !pl_build_param_of(g, &op, "bias", PL_PARAM_BIAS, 1, &dim, biases, &op.bias)) {
    return -1;
  }
  return pl_build_append(g, &op);
}

pl_value pl_linear_each(pl_graph *g, const char *weight, const char *bias, pl_value x,
                        int out_features, float deviation) {
  pl_op op;
  if (!pl_build_usable(g, weight, x) || !pl_build_begin(g, PL_OP_LINEAR, weight, x, &op)) return -1;
  if (out_features < 1) return PL_BUILD_ERROR(g, "%s: %d output features", op.name, out_features);
  op.each = true;
  op.out_shape.channels = out_features;
  int64_t dim[2] = {out_features, op.in_shape.channels};
  pl_init weights = {PL_INIT_NORMAL, deviation};
  pl_init biases = {PL_INIT_CONSTANT, 0};
  if (!pl_build_param(g, weight, PL_PARAM_WEIGHT, 2, dim, weights, &op.weight)) return -1;
  if (bias && !pl_build_param(g, bias, PL_PARAM_BIAS, 1, dim, biases, &op.bias)) return -1;
  return pl_build_append(g, &op);
}

pl_value pl_gelu_of(pl_graph *g, pl_value x, pl_gelu kind) {
  pl_op op;
  if (!pl_build_begin_unnamed(g, PL_OP_GELU, "gelu", x, &op)) return -1;
  op.gelu = kind;
  return pl_build_append(g, &op);
}

pl_value pl_attention(pl_graph *g, const char *name, pl_value qkv, int heads, bool causal) {
  pl_op op;
  if (!begin_sequence(g, PL_OP_ATTENTION, name, qkv, &op)) return -1;
  int channels = op.in_shape.channels / 3;
  if (op.in_shape.channels % 3 != 0 || heads < 1 || channels % heads != 0) {
    return PL_BUILD_ERROR(g, "%s: %d channels are not queries, keys and values of %d heads",
                          op.name, op.in_shape.channels, heads);
  }
  op.heads = heads;
  op.causal = causal;
  op.out_shape.channels = channels;
  return pl_build_append(g, &op);
}

pl_value pl_select_position(pl_graph *g, pl_value x, pl_value tokens, pl_select which) {
  pl_op op;
  if (!pl_build_begin_unnamed(g, PL_OP_SELECT, "select", x, &op)) return -1;
  op.select = which;
  op.out_shape = (pl_shape){1, 1, op.in_shape.channels};
  if (which == PL_SELECT_END) {
    if (!pl_build_exists(g, "select", tokens)) return -1;
    const pl_op *ids = &g->op[tokens];
    if (ids->kind != PL_OP_TOKENS || positions_of(ids->out_shape) != positions_of(op.in_shape)) {
      return PL_BUILD_ERROR(g, "%s: the end of %d positions is not told by %s of %d", op.name,
                            positions_of(op.in_shape), ids->name, positions_of(ids->out_shape));
    }
    op.inputs = 2;
    op.input[1] = tokens;
  }
  return pl_build_append(g, &op);
}

pl_value pl_dropout(pl_graph *g, pl_value x, float rate) {
  pl_op op;
  if (!pl_build_begin_unnamed(g, PL_OP_DROPOUT, "dropout", x, &op)) return -1;
  if (!(rate >= 0 && rate < 1)) {
    return PL_BUILD_ERROR(g, "%s: a rate of %g is not in [0, 1)", op.name, (double)rate);
  }
  if (rate == 0) return x;
  op.rate = rate;
  op.number = g->dropouts++;
  return pl_build_append(g, &op);
}

pl_value pl_project(pl_graph *g, const char *name, pl_value x, int out_features, bool transposed,
                    float deviation) {
  pl_op op;
  if (!pl_build_usable(g, name, x) || !pl_build_begin(g, PL_OP_LINEAR, name, x, &op)) return -1;
  if (out_features < 1) return PL_BUILD_ERROR(g, "%s: %d output features", op.name, out_features);
  op.transposed = transposed;
  op.out_shape = (pl_shape){1, 1, out_features};
  int64_t in = pl_shape_elements(op.in_shape);
  int64_t dim[2] = {transposed ? in : out_features, transposed ? out_features : in};
  pl_init init = {PL_INIT_NORMAL, deviation};
  if (!pl_build_param(g, name, PL_PARAM_WEIGHT, 2, dim, init, &op.weight)) return -1;
  return pl_build_append(g, &op);
}
