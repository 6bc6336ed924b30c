/* Building a network: a static graph of operations over one micro-batch.
 *
 * Values are channel-last: (rows, height, width, channels), or (rows, features) which is the same
 * with height = width = 1. `rows` is the number of images of a micro-batch (leaf): all its views
 * together. Build errors stick in the builder and are reported by pl_graph_finish, so that a
 * network reads as a list of calls.
 *
 * Parameters and running statistics are added to the pl_space handed in, under the given names,
 * which are those of torchvision for its networks. */
#ifndef PL_NET_GRAPH_H
#define PL_NET_GRAPH_H

#include <stdbool.h>

#include "runtime/tensor/space.h"

typedef struct pl_graph pl_graph;
typedef int pl_value; /* names a value of the graph; -1 after an error */

typedef enum pl_op_kind {
  PL_OP_INPUT,
  PL_OP_CONV,
  PL_OP_BATCH_NORM,
  PL_OP_RELU,
  PL_OP_ADD,
  PL_OP_MAX_POOL,
  PL_OP_AVG_POOL,
  PL_OP_LINEAR,
  PL_OP_L2_NORMALIZE
} pl_op_kind;

typedef struct pl_shape {
  int height, width, channels; /* of one row */
} pl_shape;

static inline int64_t pl_shape_elements(pl_shape s) {
  return (int64_t)s.height * s.width * s.channels;
}

/* Square windows: convolution and pooling. */
typedef struct pl_window {
  int kernel, stride, pad;
} pl_window;

/* One operation. Open so that compilers and backends can read it; made by the builder only. */
typedef struct pl_op {
  pl_op_kind kind;
  char name[PL_NAME_MAX];
  int inputs;
  pl_value input[2]; /* the values read */
  pl_value output;   /* the value written */
  pl_shape in_shape, out_shape;
  pl_window window; /* PL_OP_CONV, PL_OP_MAX_POOL, PL_OP_AVG_POOL */
  float epsilon;    /* PL_OP_BATCH_NORM, PL_OP_L2_NORMALIZE */
  float momentum;   /* PL_OP_BATCH_NORM: running = (1 - momentum) * running + momentum * batch */
  int weight, bias; /* parameter indices or -1; batch norm: gain and bias */
  int running_mean, running_var; /* buffer indices or -1 */
  /* Set by compile where it fuses: y = relu(norm(x) + skip). */
  bool fused_add; /* input[1] is the skip value */
  bool fused_relu;
} pl_op;

/* Starts a graph whose parameters go to `space`; `prefix` (such as "encoder.") is put before every
 * name. The space must outlive the graph. */
pl_status pl_graph_create(pl_space *space, const char *prefix, pl_graph **out);
void pl_graph_destroy(pl_graph **graph);

/* Images of the given shape, one per row. Exactly one input per graph. */
pl_value pl_input(pl_graph *g, pl_shape shape);

/* Convolution without bias, weight "name.weight" (out, in, k, k), He-normal over fan-out (He 2015,
 * as torchvision's ResNets). */
pl_value pl_conv2d(pl_graph *g, const char *name, pl_value x, int out_channels, pl_window window);

/* Batch norm over rows and positions (Ioffe & Szegedy 2015): "name.weight", "name.bias",
 * "name.running_mean", "name.running_var". `gain` is the initial weight. */
pl_value pl_batch_norm(pl_graph *g, const char *name, pl_value x, float epsilon, float momentum,
                       float gain);

pl_value pl_relu(pl_graph *g, pl_value x);
pl_value pl_add(pl_graph *g, pl_value x, pl_value y);
pl_value pl_max_pool(pl_graph *g, pl_value x, pl_window window);
/* Padding does not count in the mean. */
pl_value pl_avg_pool(pl_graph *g, pl_value x, pl_window window);
/* The mean over all positions, which must be a square: (rows, channels). */
pl_value pl_global_avg_pool(pl_graph *g, pl_value x);

/* y = x Wᵀ + b on flattened rows (height, width, channels order): "name.weight" (out, in),
 * "name.bias" (out) unless !bias. Uniform in ±1/sqrt(in), as PyTorch's default. */
pl_value pl_linear(pl_graph *g, const char *name, pl_value x, int out_features, bool bias);

/* Rows scaled to unit length: y = x / max(‖x‖, epsilon). */
pl_value pl_l2_normalize(pl_graph *g, pl_value x, float epsilon);

/* Ends building; reports the first build error. */
pl_status pl_graph_finish(pl_graph *g);

/* For compilers and tests. Operations are in order of execution; operation i writes value i. */
int pl_graph_ops(const pl_graph *g);
const pl_op *pl_graph_op(const pl_graph *g, int index);
int pl_graph_values(const pl_graph *g);
pl_shape pl_graph_value_shape(const pl_graph *g, pl_value value);
pl_space *pl_graph_space(const pl_graph *g);

#endif
