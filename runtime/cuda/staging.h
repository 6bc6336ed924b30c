/* Copies between host and device by way of pinned memory, a ring of pieces: only from such memory
 * can a device read while the host goes on. */
#ifndef PL_CUDA_STAGING_H
#define PL_CUDA_STAGING_H

#include <cuda_runtime_api.h>

#include "runtime/base/status.h"

enum { PL_STAGING_PIECES = 4, PL_STAGING_BYTES = 4 << 20 };

typedef struct pl_staging {
  char *piece[PL_STAGING_PIECES];
  cudaEvent_t done[PL_STAGING_PIECES]; /* the last copy from or to the piece */
  size_t turn;                         /* pieces used so far */
} pl_staging;

/* On failure everything is given back by pl_staging_free as well. */
pl_status pl_staging_create(pl_staging *s);
void pl_staging_free(pl_staging *s);

/* `host` has been read on return. */
pl_status pl_staging_put(pl_staging *s, cudaStream_t stream, void *device, const void *host,
                         size_t bytes);
/* `host` is there on return, and so all that was queued before has been done. */
pl_status pl_staging_get(pl_staging *s, cudaStream_t stream, void *host, const void *device,
                         size_t bytes);

#endif
