#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/net/graph_build.h"

pl_status pl_graph_create(pl_space *space, const char *prefix, pl_graph **out) {
  if (strlen(prefix) >= PL_NAME_MAX) {
    return PL_FAIL(PL_E_INTERNAL, "the prefix \"%s\" has more than %d characters", prefix,
                   PL_NAME_MAX - 1);
  }
  pl_graph *g = pl_alloc(1, sizeof *g);
  if (!g) return PL_E_INTERNAL;
  g->space = space;
  memcpy(g->prefix, prefix, strlen(prefix) + 1);
  *out = g;
  return PL_OK;
}

void pl_graph_destroy(pl_graph **graph) {
  if (!*graph) return;
  pl_free((*graph)->op);
  pl_free(*graph);
  *graph = NULL;
}

pl_value pl_build_stick(pl_graph *g) {
  if (!g->failed) g->reason = *pl_last_reason();
  g->failed = true;
  return -1;
}

bool pl_build_exists(pl_graph *g, const char *what, pl_value x) {
  if (g->failed) return false;
  if (x >= 0 && x < g->ops) return true;
  PL_BUILD_ERROR(g, "%s%s reads a value that does not exist", g->prefix, what);
  return false;
}

bool pl_build_usable(pl_graph *g, const char *what, pl_value x) {
  if (!pl_build_exists(g, what, x)) return false;
  if (g->op[x].kind != PL_OP_TOKENS) return true;
  PL_BUILD_ERROR(g, "%s%s reads token ids, which need an embedding first", g->prefix, what);
  return false;
}

bool pl_build_begin(pl_graph *g, pl_op_kind kind, const char *name, pl_value x, pl_op *op) {
  *op = (pl_op){.kind = kind,
                .inputs = 1,
                .input = {x, -1},
                .in_shape = g->op[x].out_shape,
                .out_shape = g->op[x].out_shape,
                .weight = -1,
                .bias = -1,
                .running_mean = -1,
                .running_var = -1};
  int length = snprintf(op->name, sizeof op->name, "%s%s", g->prefix, name);
  if (length >= (int)sizeof op->name) {
    PL_BUILD_ERROR(g, "the name \"%s%s\" is too long", g->prefix, name);
    return false;
  }
  return true;
}

/* As pl_build_begin, from a value that is checked first. */
static bool begin(pl_graph *g, pl_op_kind kind, const char *name, pl_value x, pl_op *op) {
  return pl_build_usable(g, name, x) && pl_build_begin(g, kind, name, x, op);
}

bool pl_build_begin_unnamed(pl_graph *g, pl_op_kind kind, const char *suffix, pl_value x,
                            pl_op *op) {
  if (!begin(g, kind, "", x, op)) return false;
  /* Only a label for messages: a name that gets too long loses its end. */
  int room = (int)(sizeof op->name - strlen(suffix) - 2);
  snprintf(op->name, sizeof op->name, "%.*s.%s", room, g->op[x].name, suffix);
  return true;
}

pl_value pl_build_append(pl_graph *g, pl_op *op) {
  if (g->ops == g->room) {
    int room = g->room ? g->room * 2 : 64;
    pl_op *larger = pl_alloc((size_t)room, sizeof *larger);
    if (!larger) return pl_build_stick(g);
    if (g->op) memcpy(larger, g->op, (size_t)g->ops * sizeof *larger);
    pl_free(g->op);
    g->op = larger;
    g->room = room;
  }
  op->output = g->ops;
  g->op[g->ops] = *op;
  return g->ops++;
}

bool pl_build_param(pl_graph *g, const char *name, pl_param_kind kind, int dims, const int64_t *dim,
                    pl_init init, int *index) {
  char full[2 * PL_NAME_MAX];
  int length = snprintf(full, sizeof full, "%s%s", g->prefix, name);
  if (length >= (int)sizeof full) {
    PL_BUILD_ERROR(g, "the name \"%s%s\" is too long", g->prefix, name);
    return false;
  }
  if (pl_space_add(g->space, full, kind, dims, dim, init, index) == PL_OK) return true;
  pl_build_stick(g);
  return false;
}

bool pl_build_param_of(pl_graph *g, const pl_op *op, const char *suffix, pl_param_kind kind,
                       int dims, const int64_t *dim, pl_init init, int *index) {
  char name[PL_NAME_MAX + 16];
  snprintf(name, sizeof name, "%s.%s", op->name, suffix);
  if (pl_space_add(g->space, name, kind, dims, dim, init, index) == PL_OK) return true;
  pl_build_stick(g);
  return false;
}

static bool add_buffer(pl_graph *g, const pl_op *op, const char *suffix, float initial,
                       int *index) {
  char name[PL_NAME_MAX + 16];
  snprintf(name, sizeof name, "%s.%s", op->name, suffix);
  if (pl_space_add_buffer(g->space, name, op->in_shape.channels, initial, index) == PL_OK) {
    return true;
  }
  pl_build_stick(g);
  return false;
}

pl_value pl_build_source(pl_graph *g, pl_op_kind kind, const char *name, pl_shape shape) {
  if (g->failed) return -1;
  if (g->ops > 0) return PL_BUILD_ERROR(g, "the input must be the first value, and the only one");
  if (shape.height < 1 || shape.width < 1 || shape.channels < 1) {
    return PL_BUILD_ERROR(g, "an input of shape %d×%d×%d", shape.height, shape.width,
                          shape.channels);
  }
  pl_op op = {.kind = kind,
              .input = {-1, -1},
              .in_shape = shape,
              .out_shape = shape,
              .weight = -1,
              .bias = -1,
              .running_mean = -1,
              .running_var = -1};
  snprintf(op.name, sizeof op.name, "%s", name);
  return pl_build_append(g, &op);
}

pl_value pl_input(pl_graph *g, pl_shape shape) {
  return pl_build_source(g, PL_OP_INPUT, "input", shape);
}

/* Sets the window and the height and width that it gives; false after an error. */
static bool set_window(pl_graph *g, pl_op *op, pl_window window) {
  op->window = window;
  int height = op->in_shape.height + 2 * window.pad - window.kernel;
  int width = op->in_shape.width + 2 * window.pad - window.kernel;
  if (window.kernel < 1 || window.stride < 1 || window.pad < 0 || height < 0 || width < 0) {
    PL_BUILD_ERROR(g, "%s: window %d (stride %d, padding %d) on %d×%d positions", op->name,
                   window.kernel, window.stride, window.pad, op->in_shape.height,
                   op->in_shape.width);
    return false;
  }
  op->out_shape.height = height / window.stride + 1;
  op->out_shape.width = width / window.stride + 1;
  return true;
}

static pl_value conv(pl_graph *g, const char *name, pl_value x, int out_channels, pl_window window,
                     pl_init init) {
  pl_op op;
  if (!begin(g, PL_OP_CONV, name, x, &op) || !set_window(g, &op, window)) return -1;
  if (out_channels < 1) return PL_BUILD_ERROR(g, "%s: %d output channels", op.name, out_channels);
  op.out_shape.channels = out_channels;
  int64_t dim[4] = {out_channels, op.in_shape.channels, window.kernel, window.kernel};
  if (!pl_build_param_of(g, &op, "weight", PL_PARAM_WEIGHT, 4, dim, init, &op.weight)) return -1;
  return pl_build_append(g, &op);
}

pl_value pl_conv2d(pl_graph *g, const char *name, pl_value x, int out_channels, pl_window window) {
  double fan_out = (double)out_channels * window.kernel * window.kernel;
  return conv(g, name, x, out_channels, window,
              (pl_init){PL_INIT_NORMAL, (float)sqrt(2 / fan_out)});
}

pl_value pl_patches(pl_graph *g, const char *name, pl_value x, int out_channels, int patch) {
  if (!pl_build_usable(g, name, x)) return -1;
  pl_shape in = g->op[x].out_shape;
  if (patch < 1 || in.height % patch != 0 || in.width % patch != 0) {
    return PL_BUILD_ERROR(g, "%s: %d×%d pixels are no multiple of the patch %d", name, in.height,
                          in.width, patch);
  }
  double fan_in = (double)in.channels * patch * patch;
  return conv(g, name, x, out_channels, (pl_window){.kernel = patch, .stride = patch},
              (pl_init){PL_INIT_UNIFORM, (float)(1 / sqrt(fan_in))});
}

pl_value pl_batch_norm(pl_graph *g, const char *name, pl_value x, float epsilon, float momentum,
                       float gain) {
  pl_op op;
  if (!begin(g, PL_OP_BATCH_NORM, name, x, &op)) return -1;
  op.epsilon = epsilon;
  op.momentum = momentum;
  int64_t dim = op.in_shape.channels;
  pl_init gains = {PL_INIT_CONSTANT, gain};
  pl_init biases = {PL_INIT_CONSTANT, 0};
  if (!pl_build_param_of(g, &op, "weight", PL_PARAM_GAIN, 1, &dim, gains, &op.weight) ||
      !pl_build_param_of(g, &op, "bias", PL_PARAM_BIAS, 1, &dim, biases, &op.bias) ||
      !add_buffer(g, &op, "running_mean", 0, &op.running_mean) ||
      !add_buffer(g, &op, "running_var", 1, &op.running_var)) {
    return -1;
  }
  return pl_build_append(g, &op);
}

pl_value pl_relu(pl_graph *g, pl_value x) {
  pl_op op;
  if (!pl_build_begin_unnamed(g, PL_OP_RELU, "relu", x, &op)) return -1;
  return pl_build_append(g, &op);
}

pl_value pl_add(pl_graph *g, pl_value x, pl_value y) {
  pl_op op;
  if (!pl_build_usable(g, "add", y) || !pl_build_begin_unnamed(g, PL_OP_ADD, "add", x, &op))
    return -1;
  pl_shape a = op.in_shape;
  pl_shape b = g->op[y].out_shape;
  if (a.height != b.height || a.width != b.width || a.channels != b.channels) {
    return PL_BUILD_ERROR(g, "%s: shapes %d×%d×%d and %d×%d×%d differ", op.name, a.height, a.width,
                          a.channels, b.height, b.width, b.channels);
  }
  op.inputs = 2;
  op.input[1] = y;
  return pl_build_append(g, &op);
}

static pl_value pool(pl_graph *g, pl_op_kind kind, const char *suffix, pl_value x,
                     pl_window window) {
  pl_op op;
  if (!pl_build_begin_unnamed(g, kind, suffix, x, &op) || !set_window(g, &op, window)) return -1;
  /* Wider padding would make windows that hold no value at all. */
  if (window.pad > window.kernel / 2) {
    return PL_BUILD_ERROR(g, "%s: padding %d is more than half of the window of %d", op.name,
                          window.pad, window.kernel);
  }
  return pl_build_append(g, &op);
}

pl_value pl_max_pool(pl_graph *g, pl_value x, pl_window window) {
  return pool(g, PL_OP_MAX_POOL, "max_pool", x, window);
}

pl_value pl_avg_pool(pl_graph *g, pl_value x, pl_window window) {
  return pool(g, PL_OP_AVG_POOL, "avg_pool", x, window);
}

pl_value pl_global_avg_pool(pl_graph *g, pl_value x) {
  if (!pl_build_usable(g, "avg_pool", x)) return -1;
  pl_shape shape = g->op[x].out_shape;
  if (shape.height != shape.width) {
    return PL_BUILD_ERROR(g, "%s.avg_pool: %d×%d positions are not a square", g->op[x].name,
                          shape.height, shape.width);
  }
  return pl_avg_pool(g, x, (pl_window){.kernel = shape.height, .stride = 1});
}

pl_value pl_linear(pl_graph *g, const char *name, pl_value x, int out_features, bool bias) {
  pl_op op;
  if (!begin(g, PL_OP_LINEAR, name, x, &op)) return -1;
  if (out_features < 1) return PL_BUILD_ERROR(g, "%s: %d output features", op.name, out_features);
  op.out_shape = (pl_shape){1, 1, out_features};
  int64_t dim[2] = {out_features, pl_shape_elements(op.in_shape)};
  pl_init init = {PL_INIT_UNIFORM, (float)(1 / sqrt((double)dim[1]))};
  if (!pl_build_param_of(g, &op, "weight", PL_PARAM_WEIGHT, 2, dim, init, &op.weight)) return -1;
  if (bias && !pl_build_param_of(g, &op, "bias", PL_PARAM_BIAS, 1, dim, init, &op.bias)) return -1;
  return pl_build_append(g, &op);
}

pl_value pl_l2_normalize(pl_graph *g, pl_value x, float epsilon) {
  pl_op op;
  if (!pl_build_begin_unnamed(g, PL_OP_L2_NORMALIZE, "l2_normalize", x, &op)) return -1;
  op.epsilon = epsilon;
  return pl_build_append(g, &op);
}

pl_status pl_graph_finish(pl_graph *g) {
  if (!g->failed && g->ops == 0) PL_BUILD_ERROR(g, "the network %shas no input", g->prefix);
  return g->failed ? pl_adopt_reason(&g->reason) : PL_OK;
}

int pl_graph_ops(const pl_graph *g) { return g->ops; }
const pl_op *pl_graph_op(const pl_graph *g, int index) { return &g->op[index]; }
int pl_graph_values(const pl_graph *g) { return g->ops; }
pl_shape pl_graph_value_shape(const pl_graph *g, pl_value value) { return g->op[value].out_shape; }
pl_space *pl_graph_space(const pl_graph *g) { return g->space; }
