#include "runtime/cuda/recording.h"

#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"

struct pl_recording {
  cudaGraphExec_t graph;
};

static bool recording_now;

bool pl_cuda_is_recording(void) { return recording_now; }

pl_status pl_cuda_record_begin(void) {
  PL_TRY(pl_cuda_check("beginning to record",
                       cudaStreamBeginCapture(pl_cuda_stream(), cudaStreamCaptureModeThreadLocal)));
  recording_now = true;
  return PL_OK;
}

static pl_status make(cudaGraph_t graph, pl_recording **out) {
  pl_recording *recording = pl_alloc(1, sizeof *recording);
  if (!recording) return PL_E_INTERNAL;
  pl_status status =
      pl_cuda_check("making a recording", cudaGraphInstantiate(&recording->graph, graph, 0));
  if (status != PL_OK) {
    pl_free(recording);
    return status;
  }
  *out = recording;
  return PL_OK;
}

/* What was recorded in parts only, after a call that can't be recorded, is no graph. */
pl_status pl_cuda_record_end(pl_recording **out) {
  cudaGraph_t graph = NULL;
  *out = NULL;
  recording_now = false;
  PL_TRY(pl_cuda_check("recording", cudaStreamEndCapture(pl_cuda_stream(), &graph)));
  pl_status status = make(graph, out);
  cudaGraphDestroy(graph);
  return status;
}

pl_status pl_cuda_replay(const pl_recording *recording) {
  return pl_cuda_check("replaying", cudaGraphLaunch(recording->graph, pl_cuda_stream()));
}

void pl_cuda_forget(pl_recording **recording) {
  if (!*recording) return;
  cudaStreamSynchronize(pl_cuda_stream());
  cudaGraphExecDestroy((*recording)->graph);
  pl_free(*recording);
  *recording = NULL;
}
