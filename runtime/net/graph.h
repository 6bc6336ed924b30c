/* Building a network: a static graph of operations over one micro-batch.
 *
 * Values are channel-last: (rows, height, width, channels), or (rows, features) which is the same
 * with height = width = 1. A sequence of T positions is (rows, T, 1, channels), and its token ids
 * are (rows, T, 1, 1) of int32. `rows` is the number of images or texts of a micro-batch (leaf):
 * all its views together. Build errors stick in the builder and are reported by pl_graph_finish, so
 * that a network reads as a list of calls.
 *
 * Parameters and running statistics are added to the pl_space handed in, under the given names,
 * which are those of torchvision and open_clip for their networks. */
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
  PL_OP_L2_NORMALIZE,
  PL_OP_TOKENS, /* the input of a network that reads texts */
  PL_OP_EMBEDDING,
  PL_OP_POSITIONS,
  PL_OP_LAYER_NORM,
  PL_OP_GELU,
  PL_OP_ATTENTION,
  PL_OP_SELECT,
  PL_OP_DROPOUT
} pl_op_kind;

typedef enum pl_gelu { PL_GELU_EXACT, PL_GELU_QUICK } pl_gelu;
typedef enum pl_select { PL_SELECT_FIRST, PL_SELECT_END } pl_select;

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
  float epsilon;    /* PL_OP_BATCH_NORM, PL_OP_L2_NORMALIZE, PL_OP_LAYER_NORM */
  float momentum;   /* PL_OP_BATCH_NORM: running = (1 - momentum) * running + momentum * batch */
  int heads;        /* PL_OP_ATTENTION */
  bool causal;      /* PL_OP_ATTENTION */
  bool each;        /* PL_OP_LINEAR: on each position by itself */
  bool transposed;  /* PL_OP_LINEAR: weight (in, out) */
  pl_gelu gelu;     /* PL_OP_GELU */
  pl_select select; /* PL_OP_SELECT */
  float rate;       /* PL_OP_DROPOUT */
  int number;       /* PL_OP_DROPOUT: of its kind in the graph, for its random numbers */
  int weight, bias; /* parameter indices or -1; batch and layer norm: gain and bias; positions: the
                       positions' and the class's embedding */
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

/* The patch embedding of vision transformers: a convolution whose windows tile the image, without
 * bias; "name.weight" (out, in, patch, patch), uniform in ±1/sqrt(in · patch²), as PyTorch's
 * default.
 */
pl_value pl_patches(pl_graph *g, const char *name, pl_value x, int out_channels, int patch);

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

/* ---- sequences ---- */

/* Token ids of texts of `length` positions, one text per row. */
pl_value pl_tokens(pl_graph *g, int length);

/* Rows of "name.weight" (vocabulary, channels) by token id; N(0, 0.02). Ids out of range are the
 * caller's error and give rows of zeros. */
pl_value pl_embedding(pl_graph *g, const char *name, pl_value tokens, int vocabulary, int channels);

/* Flattens positions to one sequence (row by row of an image's patches), puts a learned class token
 * in front where `class_name` is not NULL, and adds learned positions: parameters `class_name`
 * (channels) and `position_name` (length, channels), both N(0, deviation). */
pl_value pl_positions(pl_graph *g, const char *position_name, const char *class_name, pl_value x,
                      float deviation);

/* Layer norm over channels at each position (Ba et al. 2016): "name.weight", "name.bias". */
pl_value pl_layer_norm(pl_graph *g, const char *name, pl_value x, float epsilon);

/* y = x Wᵀ + b at each position by itself; the parameters have the names given, `bias` may be NULL.
 * W ~ N(0, deviation), b = 0. */
pl_value pl_linear_each(pl_graph *g, const char *weight, const char *bias, pl_value x,
                        int out_features, float deviation);

/* x Φ(x), or its approximation x σ(1.702 x) (Hendrycks & Gimpel 2016). */
pl_value pl_gelu_of(pl_graph *g, pl_value x, pl_gelu kind);

/* Multi-head attention (Vaswani et al. 2017) of a sequence with itself: qkv holds queries, keys and
 * values one after another, 3·C channels; heads split the C channels. Causal: a position sees
 * itself and those before. No matrix of length × length is kept for backward. */
pl_value pl_attention(pl_graph *g, const char *name, pl_value qkv, int heads, bool causal);

/* One position of each row: the first, or the one that holds the largest token id, which is the
 * end's in CLIP's vocabulary (of several the first); `tokens` is read for that alone and may be -1
 * otherwise. Gives (rows, channels). */
pl_value pl_select_position(pl_graph *g, pl_value x, pl_value tokens, pl_select which);

/* In training each element is 0 with probability `rate`, else divided by 1 - rate; the numbers come
 * from the counter-based generator keyed by (seed, step, leaf of the global batch, dropout of the
 * graph), so a recomputed leaf draws the same. Otherwise, and for rate 0, nothing. */
pl_value pl_dropout(pl_graph *g, pl_value x, float rate);

/* y = x Wᵀ with W given by name alone, "name" (out, in) or with `transposed` (in, out) as open_clip
 * stores its projections; no bias; N(0, deviation). On flattened rows. */
pl_value pl_project(pl_graph *g, const char *name, pl_value x, int out_features, bool transposed,
                    float deviation);

/* Ends building; reports the first build error. */
pl_status pl_graph_finish(pl_graph *g);

/* For compilers and tests. Operations are in order of execution; operation i writes value i. */
int pl_graph_ops(const pl_graph *g);
const pl_op *pl_graph_op(const pl_graph *g, int index);
int pl_graph_values(const pl_graph *g);
pl_shape pl_graph_value_shape(const pl_graph *g, pl_value value);
pl_space *pl_graph_space(const pl_graph *g);

#endif
