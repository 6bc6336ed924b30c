/* Convolutions in one direction by oneDNN, which four files call: this one, onednn_linear.c and
 * onednn_product.c for matrix products, and losses/tile_product.c for those of pairs.
 *
 * Activations are dense (rows, height, width, channels). oneDNN chooses the order of the weights
 * for each direction; load and backward_weights translate from and to the master layout, (out, in,
 * k, k) unless transposed. Nothing is allocated after create. */
#ifndef PL_CPU_ONEDNN_H
#define PL_CPU_ONEDNN_H

#include "runtime/net/graph.h"

typedef struct pl_dnn_conv pl_dnn_conv;

typedef enum pl_dnn_pass {
  PL_DNN_FORWARD,
  PL_DNN_BACKWARD_DATA,
  PL_DNN_BACKWARD_WEIGHTS
} pl_dnn_pass;

typedef struct pl_dnn_conv_spec {
  int rows;
  pl_shape in, out;
  pl_window window;
  pl_dtype type;   /* of activations and weights */
  bool transposed; /* the master layout of the weights is (in, k, k, out) */
} pl_dnn_conv_spec;

/* PL_E_INTERNAL when oneDNN has no such convolution. */
pl_status pl_dnn_conv_create(const pl_dnn_conv_spec *spec, pl_dnn_pass pass, pl_dnn_conv **out);
void pl_dnn_conv_destroy(pl_dnn_conv **conv);

size_t pl_dnn_conv_scratch_bytes(const pl_dnn_conv *conv);

/* Takes weights in the master layout, of spec->type; not for backward_weights. */
pl_status pl_dnn_conv_load(pl_dnn_conv *conv, const void *weights);

/* `scratch` holds scratch_bytes, aligned to PL_ALIGNMENT. */
pl_status pl_dnn_conv_forward(pl_dnn_conv *conv, const void *x, void *y, void *scratch);
pl_status pl_dnn_conv_backward_data(pl_dnn_conv *conv, const void *dy, void *dx, void *scratch);
pl_status pl_dnn_conv_backward_weights(pl_dnn_conv *conv, const void *x, const void *dy,
                                       float *dweight, void *scratch);

#endif
