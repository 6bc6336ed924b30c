#include "tests/unit/op_setups.h"

#define CONV(r, h, w, c, o, k, s, p)                                                             \
  {                                                                                              \
    .name = "conv " #r "x" #h "x" #w "x" #c " to " #o ", " #k "/" #s "/" #p, .kind = PL_OP_CONV, \
    .rows = (r), .in = {(h), (w), (c)}, .out_channels = (o), .window = {                         \
      (k),                                                                                       \
      (s),                                                                                       \
      (p)                                                                                        \
    }                                                                                            \
  }

/* In bf16 small maps and lines of an awkward width take the way over strips (61 images of 4×4: two
 * strips, the last with an empty place); strided 1×1 takes the one over picked positions, windows
 * side by side the one over tiles. */
static const op_setup convolutions[] = {
    CONV(2, 8, 8, 16, 16, 3, 1, 1),   CONV(1, 5, 7, 3, 5, 3, 1, 1),
    CONV(3, 9, 9, 7, 11, 3, 2, 1),    CONV(5, 4, 4, 33, 17, 3, 1, 1),
    CONV(13, 4, 4, 16, 32, 3, 1, 1),  CONV(7, 7, 7, 32, 16, 3, 2, 1),
    CONV(2, 1, 1, 16, 16, 3, 1, 1),   CONV(2, 20, 20, 3, 16, 7, 2, 3),
    CONV(4, 6, 6, 8, 8, 5, 1, 2),     CONV(2, 9, 8, 4, 6, 3, 1, 0),
    CONV(2, 24, 24, 16, 16, 3, 1, 1), CONV(3, 6, 5, 16, 24, 1, 1, 0),
    CONV(5, 7, 7, 19, 3, 1, 2, 0),    CONV(4, 8, 8, 32, 64, 1, 2, 0),
    CONV(2, 7, 9, 4, 6, 3, 3, 0),     CONV(2, 7, 5, 4, 4, 1, 3, 0),
    CONV(2, 6, 6, 5, 7, 2, 2, 0),     CONV(61, 4, 4, 3, 5, 3, 1, 1),
    CONV(2, 3, 34, 8, 4, 3, 1, 1),    CONV(3, 5, 67, 4, 4, 3, 2, 1),
    CONV(2, 2, 262, 2, 3, 3, 1, 1),   CONV(3, 17, 8, 3, 6, 8, 8, 0),
    CONV(1, 1, 1, 1, 1, 1, 1, 0),     CONV(1, 3, 3, 9, 1, 3, 2, 1),
};

static const op_setup linears[] = {
    {.name = "linear 5x12 to 7",
     .kind = PL_OP_LINEAR,
     .rows = 5,
     .in = {1, 1, 12},
     .out_channels = 7,
     .bias = true},
    {.name = "linear 1x1 to 1",
     .kind = PL_OP_LINEAR,
     .rows = 1,
     .in = {1, 1, 1},
     .out_channels = 1,
     .bias = true},
    {.name = "linear 1x16 to 64",
     .kind = PL_OP_LINEAR,
     .rows = 1,
     .in = {1, 1, 16},
     .out_channels = 64},
    {.name = "linear 32x128 to 96",
     .kind = PL_OP_LINEAR,
     .rows = 32,
     .in = {1, 1, 128},
     .out_channels = 96,
     .bias = true},
    {.name = "linear 3x(2x3x5) to 66",
     .kind = PL_OP_LINEAR,
     .rows = 3,
     .in = {2, 3, 5},
     .out_channels = 66,
     .bias = true},
};

#define NORM(r, h, w, c, ...)                                                           \
  {                                                                                     \
    .name = "norm " #r "x" #h "x" #w "x" #c " " #__VA_ARGS__, .kind = PL_OP_BATCH_NORM, \
    .rows = (r), .in = {(h), (w), (c)}, __VA_ARGS__                                     \
  }

static const op_setup norms[] = {
    NORM(3, 5, 5, 7, .relu = false),
    NORM(2, 8, 8, 16, .relu = true),
    NORM(4, 6, 6, 33, .add = true),
    NORM(5, 3, 4, 64, .add = true, .relu = true),
    NORM(64, 1, 1, 24, .relu = true),
    NORM(5, 1, 1, 3, .relu = false),
    NORM(9, 24, 24, 5, .relu = true),
    NORM(3, 7, 7, 20, .mean = 10),
    NORM(3, 5, 5, 7, .inference = true),
    NORM(2, 4, 4, 32, .inference = true, .relu = true),
    NORM(2, 4, 4, 9, .inference = true, .add = true, .relu = true),
};

#define POOL(k, r, h, w, c, ...)                                                       \
  {                                                                                    \
    .name = #k " " #r "x" #h "x" #w "x" #c " " #__VA_ARGS__, .kind = (k), .rows = (r), \
    .in = {(h), (w), (c)}, .window = __VA_ARGS__                                       \
  }

static const op_setup pools[] = {
    POOL(PL_OP_MAX_POOL, 2, 8, 8, 16, {3, 2, 1}), POOL(PL_OP_MAX_POOL, 1, 7, 5, 3, {2, 2, 0}),
    POOL(PL_OP_MAX_POOL, 3, 9, 9, 70, {3, 1, 1}), POOL(PL_OP_MAX_POOL, 2, 15, 15, 2, {15, 1, 7}),
    POOL(PL_OP_AVG_POOL, 2, 8, 8, 16, {3, 2, 1}), POOL(PL_OP_AVG_POOL, 5, 7, 5, 3, {2, 1, 0}),
    POOL(PL_OP_AVG_POOL, 3, 4, 4, 130, {0}),      POOL(PL_OP_AVG_POOL, 2, 1, 1, 5, {0}),
    POOL(PL_OP_MAX_POOL, 1, 1, 1, 1, {3, 1, 1}),  POOL(PL_OP_AVG_POOL, 1, 3, 1, 1, {3, 2, 1}),
};

static const op_setup pointwise[] = {
    {.name = "relu", .kind = PL_OP_RELU, .rows = 3, .in = {5, 4, 7}},
    {.name = "add", .kind = PL_OP_ADD, .rows = 3, .in = {5, 4, 7}},
    {.name = "relu of one", .kind = PL_OP_RELU, .rows = 1, .in = {1, 1, 1}},
    {.name = "add of one", .kind = PL_OP_ADD, .rows = 1, .in = {1, 1, 1}},
};

static const op_setup l2_normalize[] = {
    {.name = "l2 5x12", .kind = PL_OP_L2_NORMALIZE, .rows = 5, .in = {1, 1, 12}},
    {.name = "l2 1x3", .kind = PL_OP_L2_NORMALIZE, .rows = 1, .in = {1, 1, 3}},
    {.name = "l2 17x128", .kind = PL_OP_L2_NORMALIZE, .rows = 17, .in = {1, 1, 128}},
    {.name = "l2 below epsilon",
     .kind = PL_OP_L2_NORMALIZE,
     .rows = 4,
     .in = {1, 1, 6},
     .epsilon = 100},
};

static const op_setup linears_each[] = {
    {.name = "each 3x7x12 to 20",
     .kind = PL_OP_LINEAR,
     .rows = 3,
     .in = {7, 1, 12},
     .out_channels = 20,
     .each = true,
     .bias = true},
    {.name = "each 2x3x5x33 to 17",
     .kind = PL_OP_LINEAR,
     .rows = 2,
     .in = {3, 5, 33},
     .out_channels = 17,
     .each = true},
    {.name = "transposed 5x24 to 10",
     .kind = PL_OP_LINEAR,
     .rows = 5,
     .in = {1, 1, 24},
     .out_channels = 10,
     .transposed = true},
    {.name = "transposed 6x(2x3x5) to 64",
     .kind = PL_OP_LINEAR,
     .rows = 6,
     .in = {2, 3, 5},
     .out_channels = 64,
     .transposed = true},
};

#define ATTENTION(r, t, h, w, ...)                                                                 \
  {                                                                                                \
    .name = "attention " #r "x" #t ", " #h " heads of " #w " " #__VA_ARGS__,                       \
    .kind = PL_OP_ATTENTION, .rows = (r), .in = {(t), 1, 3 * (h) * (w)}, .heads = (h), __VA_ARGS__ \
  }

static const op_setup attentions[] = {
    ATTENTION(2, 5, 3, 4, .causal = false),  ATTENTION(2, 9, 2, 8, .causal = true),
    ATTENTION(1, 1, 2, 3, .causal = false),  ATTENTION(3, 37, 2, 64, .causal = false),
    ATTENTION(1, 77, 1, 64, .causal = true), ATTENTION(1, 130, 1, 20, .causal = false),
    ATTENTION(2, 33, 1, 1, .causal = true),  ATTENTION(1, 7, 3, 9, .causal = true),
};

/* Widths that fused kernels take, by what these are compiled for, and lengths around their blocks,
 * tiles and slices. */
static const op_setup fused_attentions[] = {
    ATTENTION(2, 19, 2, 16, .causal = false), ATTENTION(1, 66, 2, 24, .causal = true),
    ATTENTION(1, 64, 1, 32, .causal = false), ATTENTION(1, 50, 2, 48, .causal = true),
    ATTENTION(1, 129, 1, 64, .causal = true), ATTENTION(2, 1, 1, 64, .causal = false),
    ATTENTION(1, 33, 1, 80, .causal = false), ATTENTION(1, 65, 1, 96, .causal = true),
    ATTENTION(1, 49, 1, 128, .causal = true), ATTENTION(1, 16, 1, 120, .causal = false),
};

static const op_setup layer_norms[] = {
    {.name = "norm 3x5x7", .kind = PL_OP_LAYER_NORM, .rows = 3, .in = {5, 1, 7}},
    {.name = "norm 2x4x4x64", .kind = PL_OP_LAYER_NORM, .rows = 2, .in = {4, 4, 64}},
    {.name = "norm 33x50x96", .kind = PL_OP_LAYER_NORM, .rows = 33, .in = {50, 1, 96}},
    {.name = "norm far from 0", .kind = PL_OP_LAYER_NORM, .rows = 2, .in = {3, 1, 40}, .mean = 10},
    {.name = "norm, inference",
     .kind = PL_OP_LAYER_NORM,
     .rows = 2,
     .in = {3, 1, 40},
     .inference = true},
};

static const op_setup embeddings[] = {
    {.name = "embedding 3x7 of 11x6",
     .kind = PL_OP_EMBEDDING,
     .rows = 3,
     .in = {7, 1, 1},
     .vocabulary = 11,
     .out_channels = 6},
    {.name = "embedding 5x20 of 300x130",
     .kind = PL_OP_EMBEDDING,
     .rows = 5,
     .in = {20, 1, 1},
     .vocabulary = 300,
     .out_channels = 130},
};

static const op_setup positions[] = {
    {.name = "positions 3x(2x5)x7",
     .kind = PL_OP_POSITIONS,
     .rows = 3,
     .in = {2, 5, 7},
     .class_token = true},
    {.name = "positions 1x1x1",
     .kind = PL_OP_POSITIONS,
     .rows = 1,
     .in = {1, 1, 1},
     .class_token = true},
    {.name = "positions 9x4x70", .kind = PL_OP_POSITIONS, .rows = 9, .in = {4, 1, 70}},
};

static const op_setup gelus[] = {
    {.name = "gelu", .kind = PL_OP_GELU, .rows = 3, .in = {50, 1, 33}},
    {.name = "gelu of one", .kind = PL_OP_GELU, .rows = 1, .in = {1, 1, 1}},
    {.name = "quick gelu", .kind = PL_OP_GELU, .rows = 3, .in = {50, 1, 33}, .gelu = PL_GELU_QUICK},
};

static const op_setup selects[] = {
    {.name = "first", .kind = PL_OP_SELECT, .rows = 4, .in = {5, 1, 9}},
    {.name = "end", .kind = PL_OP_SELECT, .rows = 4, .in = {5, 1, 9}, .select = PL_SELECT_END},
};

static const op_setup dropouts[] = {
    {.name = "dropout 0.1", .kind = PL_OP_DROPOUT, .rows = 3, .in = {50, 1, 33}, .rate = 0.1F},
    {.name = "dropout 0.7", .kind = PL_OP_DROPOUT, .rows = 2, .in = {3, 1, 5}, .rate = 0.7F},
};

#define TABLE(array) array, sizeof(array) / sizeof *(array)

const op_table op_convolutions = {TABLE(convolutions), false};
const op_table op_linears = {TABLE(linears), true};
const op_table op_batch_norms = {TABLE(norms), true};
const op_table op_pools = {TABLE(pools), false};
const op_table op_pointwise = {TABLE(pointwise), false};
const op_table op_l2_normalize = {TABLE(l2_normalize), false};
const op_table op_linears_each = {TABLE(linears_each), true};
const op_table op_attentions = {TABLE(attentions), false};
const op_table op_fused_attentions = {TABLE(fused_attentions), false};
const op_table op_layer_norms = {TABLE(layer_norms), false};
const op_table op_embeddings = {TABLE(embeddings), false};
const op_table op_positions = {TABLE(positions), false};
const op_table op_gelus = {TABLE(gelus), false};
const op_table op_selects = {TABLE(selects), false};
const op_table op_dropouts = {TABLE(dropouts), false};
