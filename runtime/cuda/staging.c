#include "runtime/cuda/staging.h"

#include <string.h>

#include "runtime/cuda/kernel.h"

pl_status pl_staging_create(pl_staging *s) {
  *s = (pl_staging){0};
  for (int i = 0; i < PL_STAGING_PIECES; i++) {
    PL_TRY(pl_cuda_check("pinned memory", cudaMallocHost((void **)&s->piece[i], PL_STAGING_BYTES)));
    PL_TRY(
        pl_cuda_check("an event", cudaEventCreateWithFlags(&s->done[i], cudaEventDisableTiming)));
  }
  return PL_OK;
}

void pl_staging_free(pl_staging *s) {
  for (int i = 0; i < PL_STAGING_PIECES; i++) {
    if (s->done[i]) cudaEventDestroy(s->done[i]);
    if (s->piece[i]) cudaFreeHost(s->piece[i]);
  }
  *s = (pl_staging){0};
}

static size_t piece_bytes(size_t left) { return left < PL_STAGING_BYTES ? left : PL_STAGING_BYTES; }

pl_status pl_staging_put(pl_staging *s, cudaStream_t stream, void *device, const void *host,
                         size_t bytes) {
  for (size_t at = 0; at < bytes; at += PL_STAGING_BYTES) {
    size_t piece = s->turn++ % PL_STAGING_PIECES, n = piece_bytes(bytes - at);
    PL_TRY(pl_cuda_check("waiting for a copy", cudaEventSynchronize(s->done[piece])));
    memcpy(s->piece[piece], (const char *)host + at, n);
    PL_TRY(pl_cuda_check("copy to the device", cudaMemcpyAsync((char *)device + at, s->piece[piece],
                                                               n, cudaMemcpyHostToDevice, stream)));
    PL_TRY(pl_cuda_check("copy to the device", cudaEventRecord(s->done[piece], stream)));
  }
  return PL_OK;
}

/* Pieces are on their way while earlier ones are handed over. A piece that an earlier put still
 * reads needs no wait: the stream keeps the order. */
pl_status pl_staging_get(pl_staging *s, cudaStream_t stream, void *host, const void *device,
                         size_t bytes) {
  size_t first = s->turn, pieces = (bytes + PL_STAGING_BYTES - 1) / PL_STAGING_BYTES;
  for (size_t got = 0; got < pieces; got++) {
    for (; s->turn - first < pieces && s->turn - first < got + PL_STAGING_PIECES; s->turn++) {
      size_t piece = s->turn % PL_STAGING_PIECES, at = (s->turn - first) * PL_STAGING_BYTES;
      PL_TRY(
          pl_cuda_check("copy from the device",
                        cudaMemcpyAsync(s->piece[piece], (const char *)device + at,
                                        piece_bytes(bytes - at), cudaMemcpyDeviceToHost, stream)));
      PL_TRY(pl_cuda_check("copy from the device", cudaEventRecord(s->done[piece], stream)));
    }
    size_t piece = (first + got) % PL_STAGING_PIECES, at = got * PL_STAGING_BYTES;
    PL_TRY(pl_cuda_check("work on the device", cudaEventSynchronize(s->done[piece])));
    memcpy((char *)host + at, s->piece[piece], piece_bytes(bytes - at));
  }
  return PL_OK;
}
