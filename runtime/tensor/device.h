/* Where values live that operations work on: the processor's memory, or an accelerator's.
 *
 * All work on a device is queued in one order, that of the calls: copies, sums, and the kernels of
 * the backend that the device belongs to; but for what `start_get` starts. A call may return before
 * its work is done; `get` and `finish` wait for all that was queued, and tell what failed of it.
 * One thread drives a device. */
#ifndef PL_TENSOR_DEVICE_H
#define PL_TENSOR_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

struct pl_optim_engine;                   /* runtime/optim/rule.h */
typedef struct pl_recording pl_recording; /* belongs to the device */

/* Where a block of PL_BLOCK floats is written, and as what. */
typedef struct pl_block_place {
  uint64_t offset; /* bytes */
  uint64_t narrow; /* 1: as bf16; 0: as it is */
} pl_block_place;

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

  /* As put, but from memory of alloc_host, which is read later: it stays unchanged until a wait for
   * work behind it. */
  pl_status (*put_pinned)(void *device, const void *pinned, size_t bytes);
  /* Fetches to memory of alloc_host what stands there when all that was queued so far is done,
   * beside what is queued from now on, which leaves it alone until await_get has returned for the
   * ticket. Tickets may be waited for in any order, and more than once. */
  pl_status (*start_get)(void *pinned, const void *device, size_t bytes, uint64_t *ticket);
  pl_status (*await_get)(uint64_t ticket);

  /* to[0..n) += from[0..n): one addition for each element, the same bits on every device */
  pl_status (*add_f32)(float *to, const float *from, size_t n);
  pl_status (*add_f64)(double *to, const double *from, size_t n);
  /* Block b of `from` goes to `to` + place[b].offset, converted to nearest, ties to even. */
  pl_status (*write_blocks)(void *to, const pl_block_place *place, const float *from,
                            int64_t blocks);

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

/* An accelerator that is not there, for planning: its memory is counted and never used. Of the
 * functions it has those that set-up needs, for memory and copies, which do nothing. */
extern const pl_device pl_planned_device;

/* Partial sums of small double vectors in tree order (pl_tree_push_f64) in memory of the device. */
pl_status pl_device_push_f64(const pl_device *device, double *sums, size_t width, int64_t leaves,
                             int64_t leaf, const double *values);

#endif
