/* What is said of libraries' engines: of one that is used, and where there is none. */
#ifndef PL_CUDA_ENGINE_H
#define PL_CUDA_ENGINE_H

#include "runtime/cuda/convolution.h"
#include "runtime/cuda/product.h"

/* Where all is logged. `direction`: "the forward pass"; `engine`: its number at cuDNN. */
void pl_note_convolution(const pl_convolution_spec *spec, const char *direction, long long engine,
                         size_t workspace_bytes);
/* A word in the log, as products do it then. `answer`: what cuDNN said. */
void pl_no_convolution(const pl_convolution_spec *spec, const char *direction, const char *answer);
/* PL_E_INTERNAL. */
pl_status pl_no_product(const pl_product_spec *spec);

#endif
