#include "runtime/cuda/fetch.h"

#include "runtime/cuda/kernel.h"

static pl_status make_event(cudaEvent_t *event) {
  return pl_cuda_check("an event", cudaEventCreateWithFlags(event, cudaEventDisableTiming));
}

pl_status pl_fetch_create(pl_fetch *f) {
  *f = (pl_fetch){0};
  PL_TRY(pl_cuda_check("a stream", cudaStreamCreateWithFlags(&f->stream, cudaStreamNonBlocking)));
  PL_TRY(make_event(&f->begin));
  for (int i = 0; i < PL_FETCH_EVENTS; i++) PL_TRY(make_event(&f->done[i]));
  return PL_OK;
}

void pl_fetch_free(pl_fetch *f) {
  if (f->stream) cudaStreamSynchronize(f->stream);
  for (int i = 0; i < PL_FETCH_EVENTS; i++) {
    if (f->done[i]) cudaEventDestroy(f->done[i]);
  }
  if (f->begin) cudaEventDestroy(f->begin);
  if (f->stream) cudaStreamDestroy(f->stream);
  *f = (pl_fetch){0};
}

pl_status pl_fetch_start(pl_fetch *f, cudaStream_t after, void *pinned, const void *device,
                         size_t bytes, uint64_t *ticket) {
  *ticket = f->started++;
  PL_TRY(pl_cuda_check("a fetch", cudaEventRecord(f->begin, after)));
  PL_TRY(pl_cuda_check("a fetch", cudaStreamWaitEvent(f->stream, f->begin, 0)));
  if (bytes > 0)
    PL_TRY(pl_cuda_check(
        "a fetch", cudaMemcpyAsync(pinned, device, bytes, cudaMemcpyDeviceToHost, f->stream)));
  return pl_cuda_check("a fetch", cudaEventRecord(f->done[*ticket % PL_FETCH_EVENTS], f->stream));
}

pl_status pl_fetch_await(pl_fetch *f, uint64_t ticket) {
  return pl_cuda_check("work on the device",
                       cudaEventSynchronize(f->done[ticket % PL_FETCH_EVENTS]));
}
