/* One operation on one backend, with seeded random values: what tests of backends run and compare.
 *
 * The values depend on the setup only, so two fixtures of one setup on two backends see the same
 * numbers. */
#ifndef TESTS_UNIT_OP_FIXTURE_H
#define TESTS_UNIT_OP_FIXTURE_H

#include "runtime/net/backend.h"

typedef struct op_setup {
  const char *name; /* for messages */
  pl_op_kind kind;
  int rows;
  pl_shape in;
  int out_channels;           /* convolution, linear, embedding */
  pl_window window;           /* convolution, pooling */
  bool bias;                  /* linear */
  bool add, relu;             /* fused into a batch norm */
  bool each;                  /* linear at each position */
  bool transposed;            /* linear as a projection with weight (in, out) */
  int vocabulary;             /* embedding; ids reach one beyond it at either end */
  bool class_token;           /* positions */
  int heads;                  /* attention */
  bool causal;                /* attention */
  pl_gelu gelu;               /* GELU */
  pl_select select;           /* select */
  float rate;                 /* dropout */
  bool inference;             /* forward only, batch norm on running statistics */
  float epsilon;              /* L2-normalise; 0: 1e-6 */
  float mean;                 /* of the values of x; 0 by default */
  pl_dtype in_type, out_type; /* of activations: token ids are PL_I32 whatever in_type says */
} op_setup;

typedef struct op_fixture {
  op_setup setup;
  const pl_backend *backend;
  pl_space *space;
  pl_graph *graph;
  pl_op op;
  pl_kernel *kernel;
  pl_kernel_needs needs;
  pl_dtype x_type;                             /* in_type or PL_I32 */
  size_t in_count, out_count, weights, biases; /* elements */
  void *image;
  void *there; /* the image in memory of the device, once it is loaded; may be `image` itself */
  float *buffers;
  void *x, *skip, *dy;                  /* read */
  void *y, *saved, *scratch;            /* written by forward */
  void *dx, *dskip;                     /* written by backward, */
  bool add_dx;                          /* or dx added to */
  float *dweight, *dbias;               /* written by backward */
  double *forward_sums, *backward_sums; /* batch norm in training: (2 * channels) */
} op_fixture;

/* Fails the running test where anything goes wrong. */
void op_fixture_open(op_fixture *f, const op_setup *setup, const pl_backend *backend);
void op_fixture_close(op_fixture *f);

/* Loads the image and the buffers, then runs forward (both phases of a training batch norm, over
 * this leaf alone). */
void op_fixture_forward(op_fixture *f);
void op_fixture_backward(op_fixture *f);

/* Element i of an array of type `type`. */
float op_fixture_get(pl_dtype type, const void *array, size_t i);
void op_fixture_set(pl_dtype type, void *array, size_t i, float value);

/* The weight and bias of the operation in the compute image. */
void *op_fixture_weight(const op_fixture *f);
float *op_fixture_bias(const op_fixture *f);

#endif
