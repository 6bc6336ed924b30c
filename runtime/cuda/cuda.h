/* The CUDA backend: products by cuBLASLt, convolutions by cuDNN, the rest own kernels.
 *
 * One process drives one device. Types as on the processor (runtime/cpu/cpu.h): activations f32 or
 * bf16, sums in f32 or wider. Every kernel gives the same bits each time it runs on the same device
 * with the same arguments: own kernels add in fixed orders, and of the libraries only algorithms
 * that do so are used. */
#ifndef PL_CUDA_CUDA_H
#define PL_CUDA_CUDA_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/data/view_maker.h"
#include "runtime/net/backend.h"

enum { PL_CUDA_TEXT = 256 };

typedef struct pl_cuda_info {
  char name[PL_CUDA_TEXT]; /* "NVIDIA H100 80GB HBM3" */
  int driver, runtime;     /* 13000 is 13.0 */
  int major, minor;        /* compute capability */
  size_t total_bytes, free_bytes;
} pl_cuda_info;

/* Whether this program was built with CUDA. */
bool pl_cuda_built(void);

/* Devices that the driver shows; 0 also without one, or where it is too old. */
int pl_cuda_devices(void);

/* Whether this host has a driver, however old. */
bool pl_cuda_has_driver(void);

/* Whether device `index` is one to compute on. PL_E_USAGE: not built with CUDA, no driver, one that
 * is too old for the runtime or does not start, no such device, a compute capability below 8.0;
 * each names what is there and what is wanted. */
pl_status pl_cuda_check_device(int index);

/* Makes device `index` the one this process works on; must come before anything else is asked of
 * the backend. PL_E_USAGE: as above, or others hold the device. */
pl_status pl_cuda_open(int index);
/* Waits for all work and gives everything back. Nothing is open: does nothing. */
void pl_cuda_close(void);

/* Whether kernels that are made from now on may round f32 to 10 bits of fraction before they
 * multiply, which tensor cores do several times as fast; at first they may not. */
void pl_cuda_use_tf32(bool allowed);

/* About the device that is open. */
pl_status pl_cuda_get_info(pl_cuda_info *info);

/* NULL where this program was built without CUDA. */
const pl_backend *pl_cuda_backend(void);
const pl_view_maker *pl_cuda_view_maker(void);

/* The same on pl_planned_device, for a thread that plans (runtime/base/account.h): it makes
 * kernels, none of which can run. No device needs to be open; where none is, convolutions are
 * planned as for an H100, and workspaces of products taken to be as large as they may be. NULL
 * likewise. */
const pl_backend *pl_cuda_planning_backend(void);

/* Whether a device is open. */
bool pl_cuda_is_open(void);

#endif
