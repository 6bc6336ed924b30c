/* The stream that all work of the open device goes to, and what calls of CUDA say of it
 * (runtime/cuda/device.c): for kernels, and for whoever queues work beside theirs. */
#ifndef PL_CUDA_STREAM_H
#define PL_CUDA_STREAM_H

#include <cuda_runtime_api.h>

#include "runtime/base/status.h"

cudaStream_t pl_cuda_stream(void);

/* PL_OK, or an error that names the call: PL_E_INTERNAL, after which CUDA's last error is none
 * again. Also after launches: pl_cuda_check("layer norm", cudaGetLastError()). */
pl_status pl_cuda_check(const char *what, cudaError_t error);

#endif
