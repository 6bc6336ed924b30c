/* Kernels of the CUDA backend: what each file of this folder hands to backend.c, and what they
 * share. Host code is C (X.c: shapes, costs, calls of libraries); device code is in X.cu, reached
 * through the plain functions of runtime/cuda/launch.h. All work goes to pl_cuda_stream() and may
 * still be under way on return. */
#ifndef PL_CUDA_KERNEL_H
#define PL_CUDA_KERNEL_H

#include <cublasLt.h>

#include "runtime/cuda/stream.h"
#include "runtime/net/kernel.h"

extern const pl_kernel_maker pl_cuda_conv, pl_cuda_linear, pl_cuda_batch_norm, pl_cuda_relu,
    pl_cuda_add, pl_cuda_max_pool, pl_cuda_avg_pool, pl_cuda_l2_normalize, pl_cuda_embedding,
    pl_cuda_positions, pl_cuda_layer_norm, pl_cuda_gelu, pl_cuda_attention, pl_cuda_select,
    pl_cuda_dropout;

/* What a kernel keeps of its own on the device: parameters in another order or type than the
 * compute image has them, which else are read there (pl_kernel_param), and running statistics. */
typedef struct pl_device_values {
  void *array; /* on the device */
  size_t bytes;
} pl_device_values;

pl_status pl_device_values_create(size_t bytes, pl_device_values *out);
void pl_device_values_free(pl_device_values *values);

/* Room for buffer `buffer` of the space (running statistics), f32, and its values. */
pl_status pl_device_buffer_create(const pl_space *space, int buffer, pl_device_values *out);
pl_status pl_device_buffer_load(const pl_space *space, int buffer, const float *buffers,
                                const pl_device_values *values);

/* The device that is open (runtime/cuda/device.c), and what optimizers do there. */
extern const pl_device pl_cuda_device;
extern const struct pl_optim_engine pl_cuda_optim;
cublasLtHandle_t pl_cuda_blas(void);
bool pl_cuda_tf32(void); /* as pl_cuda_use_tf32 said */

#endif
