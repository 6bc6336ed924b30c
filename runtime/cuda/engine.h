/* What is said where a library has nothing that computes what is needed. */
#ifndef PL_CUDA_ENGINE_H
#define PL_CUDA_ENGINE_H

#include "runtime/cuda/convolution.h"
#include "runtime/cuda/product.h"

/* A word in the log, as products do it then. `direction`: "the forward pass"; `answer`: what cuDNN
 * said. */
void pl_no_convolution(const pl_convolution_spec *spec, const char *direction, const char *answer);
/* PL_E_INTERNAL. */
pl_status pl_no_product(const pl_product_spec *spec);

#endif
