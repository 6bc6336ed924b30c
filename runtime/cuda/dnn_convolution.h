/* A convolution in cuDNN's terms: its plans for a device, in each direction. */
#ifndef PL_CUDA_DNN_CONVOLUTION_H
#define PL_CUDA_DNN_CONVOLUTION_H

#include "runtime/cuda/convolution.h"
#include "runtime/cuda/dnn_plan.h"

typedef enum pl_direction {
  PL_DIRECTION_FORWARD,
  PL_DIRECTION_DATA,    /* the gradient of the input */
  PL_DIRECTION_WEIGHTS, /* the gradient of the weights */
  PL_DIRECTIONS
} pl_direction;

/* "the forward pass", … Static string. */
const char *pl_direction_name(pl_direction direction);

/* Whether `spec` wants it. */
bool pl_direction_is_wanted(const pl_convolution_spec *spec, pl_direction direction);

/* What its plans may be. */
pl_dnn_rule pl_dnn_convolution_rule(const pl_convolution_spec *spec);

/* plans: zeros, and so remain those that aren't wanted. It ends with the first wanted one that
 * there is no engine for, *missing; else that is PL_DIRECTIONS. */
pl_status pl_dnn_convolution_plan(const pl_dnn_device *device, const pl_convolution_spec *spec,
                                  pl_dnn_descriptors *owner, pl_dnn_plan plans[PL_DIRECTIONS],
                                  pl_direction *missing);

/* x (rows, height, width, in), weights (out, kernel, kernel, in), y (rows, height, width, out);
 * or, whichever the direction writes, their gradients. */
pl_status pl_dnn_convolution_run(const pl_dnn_device *device, const pl_dnn_plan *plan,
                                 const void *x, const void *weights, const void *y,
                                 void *workspace);

#endif
