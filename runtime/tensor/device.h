/* Where values live that operations work on: the processor's memory, or an accelerator's.
 *
 * All work on a device is queued in one order, that of the calls: copies, sums, and the kernels of
 * the backend that the device belongs to. A call may return before its work is done; `get` and
 * `finish` wait for all that was queued, and tell what failed of it. One thread drives a device. */
#ifndef PL_TENSOR_DEVICE_H
#define PL_TENSOR_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

struct pl_optim_engine;                   /* runtime/optim/rule.h */
typedef struct pl_recording pl_recording; /* belongs to the device */

typedef struct pl_device {
  const char *name; /* "cpu", "cuda" */
  bool is_host;     /* its memory is the host's, and all work is done when its call returns */

  /* Zeroed memory of the device, aligned to PL_ALIGNMENT at least; a size of zero gives a valid
   * pointer. The caller owns it. */
  pl_status (*alloc)(size_t bytes, void **out);
  void (*release)(void *memory); /* NULL is allowed; waits for work that uses it */

  /* Memory of the host that the device copies from or to by itself, while the host goes on; aligned
   * to PL_ALIGNMENT. Also for other threads to write to. The caller owns it. */
  pl_status (*alloc_host)(size_t bytes, void **out);
  void (*release_host)(void *memory); /* NULL is allowed; waits for copies */

  pl_status (*put)(void *device, const void *host, size_t bytes); /* `host` is read on return */
  pl_status (*get)(void *host, const void *device, size_t bytes);
  pl_status (*copy)(void *to, const void *from, size_t bytes); /* within the device; no overlap */
  pl_status (*finish)(void);

  /* to[0..n) += from[0..n): one addition for each element, the same bits on every device */
  pl_status (*add_f32)(float *to, const float *from, size_t n);
  pl_status (*add_f64)(double *to, const double *from, size_t n);

  /* Recordings; NULL where the device has none. What is queued between begin and end is not done
   * but kept, and each replay queues it again, with the arguments it had: kernels, sums and copies
   * within the device. Nothing may be allocated, put, got or waited for meanwhile. After an error
   * at the end nothing was recorded, and nothing done. forget takes NULL content, leaves NULL. */
  pl_status (*record_begin)(void);
  pl_status (*record_end)(pl_recording **out);
  pl_status (*replay)(const pl_recording *recording);
  void (*forget)(pl_recording **recording);

  const struct pl_optim_engine *optim; /* what optimizers do there; NULL: as on the host */
} pl_device;

/* The processor: memory of pl_alloc. */
extern const pl_device pl_host_device;

/* Partial sums of small double vectors in tree order (pl_tree_push_f64) in memory of the device. */
pl_status pl_device_push_f64(const pl_device *device, double *sums, size_t width, int64_t leaves,
                             int64_t leaf, const double *values);

#endif
