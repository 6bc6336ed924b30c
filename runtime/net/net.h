/* A compiled network: kernels, fusion and a memory plan for one micro-batch size and precision. */
#ifndef PL_NET_NET_H
#define PL_NET_NET_H

#include "runtime/net/backend.h"
#include "runtime/net/graph.h"

typedef struct pl_net pl_net;

/* Over what a batch norm takes its statistics. */
typedef enum pl_norm_scope { PL_NORM_MICRO, PL_NORM_RANK, PL_NORM_GLOBAL } pl_norm_scope;

typedef struct pl_net_options {
  const pl_backend *backend;
  pl_value output;     /* what the network gives; f32 whatever the precision */
  int rows;            /* images per leaf */
  pl_dtype precision;  /* PL_F32 or PL_BF16: type of activations */
  bool training;       /* false: running statistics, nothing kept, no backward */
  pl_norm_scope scope; /* of all batch norms */
} pl_net_options;

/* Exact figures, known before anything runs. Activations take leaves * held_bytes + scratch_bytes;
 * for inference or with recomputing held_bytes + scratch_bytes, whatever the leaves. */
typedef struct pl_net_costs {
  size_t held_bytes;    /* per leaf; where batch norms reach beyond the leaf, all its memory */
  size_t scratch_bytes; /* once: shared by all leaves */
  double forward_flops, backward_flops; /* per leaf */
} pl_net_costs;

/* Compiles the part of `graph` that `options->output` needs. The graph must outlive the net, its
 * space be sealed. PL_E_USAGE names the operation that the backend does not support. */
pl_status pl_net_compile(const pl_graph *graph, const pl_net_options *options, pl_net **out);
void pl_net_destroy(pl_net **net);

pl_net_costs pl_net_get_costs(const pl_net *net);
pl_shape pl_net_input_shape(const pl_net *net);
int pl_net_output_features(const pl_net *net); /* elements per row of the output */

/* Hands new parameter values to the kernels; see pl_backend.load. */
pl_status pl_net_load(pl_net *net, const void *image, const float *buffers);

#endif
