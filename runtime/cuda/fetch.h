/* Copies from the device to pinned memory beside the device's work: in a stream of their own, each
 * behind what was queued in the main stream when it was started. */
#ifndef PL_CUDA_FETCH_H
#define PL_CUDA_FETCH_H

#include <cuda_runtime_api.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* Tickets whose own end is known; for older ones a later end, which is theirs as well, is waited
 * for. */
enum { PL_FETCH_EVENTS = 64 };

typedef struct pl_fetch {
  cudaStream_t stream;
  cudaEvent_t begin;                 /* where the main stream was at the last start */
  cudaEvent_t done[PL_FETCH_EVENTS]; /* ticket t: number t % PL_FETCH_EVENTS */
  uint64_t started;                  /* tickets given out */
} pl_fetch;

/* On failure everything is given back by pl_fetch_free as well. */
pl_status pl_fetch_create(pl_fetch *f);
void pl_fetch_free(pl_fetch *f);

/* As pl_device's start_get, behind what is in `after`; await_get. */
pl_status pl_fetch_start(pl_fetch *f, cudaStream_t after, void *pinned, const void *device,
                         size_t bytes, uint64_t *ticket);
pl_status pl_fetch_await(pl_fetch *f, uint64_t ticket);

#endif
