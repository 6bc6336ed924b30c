/* What the builders share; private to runtime/net. */
#ifndef PL_NET_GRAPH_BUILD_H
#define PL_NET_GRAPH_BUILD_H

#include "runtime/net/graph.h"

/* Every operation writes one value, so operation i writes value i. */
struct pl_graph {
  pl_space *space;
  char prefix[PL_NAME_MAX];
  pl_op *op;
  int ops, room;
  int dropouts; /* among them */
  bool failed;
  pl_reason reason; /* of the first build error */
};

/* Keeps the reason of the failure just recorded, unless an earlier one is there; gives -1. */
pl_value pl_build_stick(pl_graph *g);

/* Records a build error and gives the value that stands for it. */
#define PL_BUILD_ERROR(g, ...) (PL_FAIL(PL_E_USAGE, __VA_ARGS__), pl_build_stick(g))

/* Whether building goes on: no error yet, and `x` is a value of this graph. */
bool pl_build_exists(pl_graph *g, const char *what, pl_value x);
/* ... and holds activations, not token ids. */
bool pl_build_usable(pl_graph *g, const char *what, pl_value x);

/* Starts an operation called prefix + name that reads x, which exists; false after an error. */
bool pl_build_begin(pl_graph *g, pl_op_kind kind, const char *name, pl_value x, pl_op *op);

/* Starts one without parameters that reads x, if that is usable; named after the operation whose
 * value it reads. */
bool pl_build_begin_unnamed(pl_graph *g, pl_op_kind kind, const char *suffix, pl_value x,
                            pl_op *op);

pl_value pl_build_append(pl_graph *g, pl_op *op);

/* The graph's input, which must be its first operation. */
pl_value pl_build_source(pl_graph *g, pl_op_kind kind, const char *name, pl_shape shape);

/* Adds the parameter prefix + name, or "<operation>.<suffix>"; false after an error. */
bool pl_build_param(pl_graph *g, const char *name, pl_param_kind kind, int dims, const int64_t *dim,
                    pl_init init, int *index);
bool pl_build_param_of(pl_graph *g, const pl_op *op, const char *suffix, pl_param_kind kind,
                       int dims, const int64_t *dim, pl_init init, int *index);

#endif
