/* A small network with all that it takes to run it, for tests of compile and execute. */
#ifndef TESTS_UNIT_NET_RIG_H
#define TESTS_UNIT_NET_RIG_H

#include "runtime/base/ranks.h"
#include "runtime/net/exec.h"

/* Adds the network behind the input and gives its output. */
typedef pl_value (*net_builder)(pl_graph *g, pl_value x);

typedef struct rig_options {
  net_builder build;
  pl_shape shape; /* of the input */
  int vocabulary; /* not 0: the input is token ids below it, shape.height to a row */
  int rows;
  int64_t leaves;      /* of the global batch */
  pl_dtype precision;  /* PL_F32 is 0 */
  bool narrow_values;  /* weights and images are numbers of bf16, whatever the precision */
  pl_norm_scope scope; /* PL_NORM_MICRO is 0 */
  bool recompute, inference, record;
  uint32_t draw_step;        /* for dropouts */
  int rank_count, rank;      /* 0 counts as one rank */
  const pl_ranks *ranks;     /* NULL: alone */
  const pl_backend *backend; /* NULL: the reference backend */
} rig_options;

typedef struct net_rig {
  rig_options options;
  pl_ranks alone;
  pl_space *space;
  pl_graph *graph;
  pl_net *net;
  pl_exec *exec;
  pl_gradsum *sums;
  char *image; /* compute image; parameters are random, each of them off its initial value */
  void *there; /* the image in memory of the backend's device; may be `image` itself */
  float *buffers;
  int64_t first_leaf, leaves;   /* of this rank */
  size_t leaf_in, leaf_out;     /* elements */
  float *images;                /* (leaf_in): of the leaf just fetched */
  int32_t *tokens;              /* (leaf_in): the same where the input is token ids */
  float *out;                   /* (leaves, leaf_out) */
  float *dout;                  /* (leaves, leaf_out): the loss is the sum of out * dout */
  void *out_there, *dout_there; /* the same where the executor has them */
  int64_t fetches;
  int64_t shift; /* 0 at first: each leaf gets the images of the leaf so far behind it */
} net_rig;

/* Images, parameters and dout are pure functions of the global leaf and the parameter's name, so
 * that rigs of several ranks make up one batch. Must run in the test's thread. */
void rig_create(net_rig *rig, const rig_options *options);
void rig_destroy(net_rig *rig);

/* Images, or token ids, of global leaf `leaf`, as the rig's network gets them. */
void rig_images(const net_rig *rig, int64_t leaf, float *images);
void rig_tokens(const net_rig *rig, int64_t leaf, int32_t *tokens);

/* Loads the parameters from `image`. */
pl_status rig_load(net_rig *rig);
/* Lets the next load find them in other memory of the device, which is not the host; what they were
 * in is gone. */
void rig_move_image(net_rig *rig);

/* Loads the parameters and runs forward, or forward and backward. */
pl_status rig_forward(net_rig *rig);
pl_status rig_step(net_rig *rig);

/* Copies the sums of the parameters' gradients, pl_space_elements of the space, to the host. */
void rig_gradient(const net_rig *rig, float *to);

/* The loss of the outputs there. */
double rig_loss(const net_rig *rig);

#endif
