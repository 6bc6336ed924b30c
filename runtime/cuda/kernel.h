/* Kernels of the CUDA backend: what each file of this folder hands to backend.c, and what they
 * share. Host code is C (X.c: shapes, costs, calls of libraries); device code is in X.cu, reached
 * through the plain functions of runtime/cuda/launch.h. All work goes to pl_cuda_stream() and may
 * still be under way on return. */
#ifndef PL_CUDA_KERNEL_H
#define PL_CUDA_KERNEL_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "runtime/net/kernel.h"

extern const pl_kernel_maker pl_cuda_conv, pl_cuda_linear, pl_cuda_batch_norm, pl_cuda_relu,
    pl_cuda_add, pl_cuda_max_pool, pl_cuda_avg_pool, pl_cuda_l2_normalize, pl_cuda_embedding,
    pl_cuda_positions, pl_cuda_layer_norm, pl_cuda_gelu, pl_cuda_attention, pl_cuda_select,
    pl_cuda_dropout;

/* A parameter or buffer that a kernel keeps on the device. */
typedef struct pl_device_param {
  void *values; /* on the device */
  size_t bytes;
} pl_device_param;

/* Room for parameter `param` of the space, in its compute type; nothing for param < 0. */
pl_status pl_device_param_create(const pl_space *space, int param, pl_device_param *out);
pl_status pl_device_param_load(const pl_space *space, int param, const void *image,
                               pl_device_param *p);
/* The same for buffer `buffer` (running statistics), f32. */
pl_status pl_device_buffer_create(const pl_space *space, int buffer, pl_device_param *out);
pl_status pl_device_buffer_load(const pl_space *space, int buffer, const float *buffers,
                                pl_device_param *p);
void pl_device_param_free(pl_device_param *p);

/* The device that is open (runtime/cuda/device.c). */
extern const pl_device pl_cuda_device;
cudaStream_t pl_cuda_stream(void);
cublasLtHandle_t pl_cuda_blas(void);
bool pl_cuda_tf32(void); /* as pl_cuda_use_tf32 said */

/* PL_OK, or an error that names the call: PL_E_INTERNAL. Memory that can't be had tells how much
 * was asked for and how much is free. Also after launches: pl_cuda_check("layer norm",
 * cudaGetLastError()). */
pl_status pl_cuda_check(const char *what, cudaError_t error);

#endif
