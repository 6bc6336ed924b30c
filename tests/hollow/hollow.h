/* A hollow GPU takes every call and computes nothing. The program as nvcc built it runs on it, with
 * CUDA's libraries, on a machine without a GPU.
 *
 * A library is loaded in front of CUDA's (LD_PRELOAD=libplenum_hollow.so). It answers what only
 * a device could, and leaves everything else to them:
 *
 *   CUDA's runtime   is the emulated one (tests/emulation): device memory that only queued work may
 *                    touch, streams, recording, errors, and its faults of the environment
 *   kernels.cc       finds and starts kernels, within a device's limits but for their registers,
 *                    of which the host knows nothing; none is computed
 *   products.cc      cuBLASLt's handle, choice of algorithms and products. Their descriptors are
 *                    cuBLASLt's own, and are looked at as its manual has it
 *   convolutions.cc  cuDNN's handle and execution. cuDNN plans by itself, for an H100 that is
 *                    described to it instead of the one that there is not
 *
 * and a second one, in front of NCCL's, has it between ranks (tests/emulation/nccl.cc).
 *
 * So the host's side runs as it will on a GPU, runtime/cuda/product.c as well, in whose place tests
 * otherwise have loops, and with the engines that cuDNN has. Results mean nothing: device memory
 * holds what was copied to it. Whether cuBLASLt has an algorithm for a product is not told either:
 * it looks for none without a device. */
#ifndef TESTS_HOLLOW_HOLLOW_H
#define TESTS_HOLLOW_HOLLOW_H

#include <stddef.h>

/* What is counted, and told on stderr when the program ends. */
enum hollow_call {
  HOLLOW_KERNELS,
  HOLLOW_ALGORITHMS,
  HOLLOW_PRODUCTS,
  HOLLOW_PLANS,
  HOLLOW_CONVOLUTIONS,
  HOLLOW_CALLS
};
void hollow_count(hollow_call what);

/* Says on stderr why a call fails, which a status alone does not tell. */
void hollow_refuse(const char *call, const char *why);

/* Whether the array is all in one block of device memory, and begins at a multiple of
 * `alignment`. */
bool hollow_is_placed(const void *array, size_t bytes, size_t alignment);

#endif
