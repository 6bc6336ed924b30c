/* Streams and events: work waits in its stream until somebody waits for it, or for work behind it.
 * What several streams hold is done in one of two orders that are both legal, and as far apart as
 * can be: other streams' work as late as events allow, or as early. Whatever lacks an event is
 * wrong in one of them. */
#include <sched.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "tests/emulation/faults.h"
#include "tests/emulation/queue.h"
#include "tests/emulation/runtime.h"

namespace {

/* A place in a stream's queue. */
struct mark {
  cudaStream_t stream;
  bool passed;
};

/* Work, which is done when it says so, or (needs) waiting for a place in another queue. */
struct entry {
  std::function<bool()> work;
  std::shared_ptr<mark> needs;
};

/* Of a stream whose work is recorded: nothing of it is done. A call that waits for the stream, or
 * whose effect a replay would not have, spoils the recording. */
struct capture {
  std::vector<std::function<bool()>> work;
  bool spoilt;
};

}  // namespace

struct CUstream_st {
  std::deque<entry> queue;
  std::unique_ptr<capture> recording;
};
struct CUgraph_st {
  std::vector<std::function<bool()>> work;
};
struct CUgraphExec_st {
  std::vector<std::function<bool()>> work;
};
/* Names the place where it was recorded last; nowhere at first. */
struct CUevent_st {
  std::shared_ptr<mark> at;
};

namespace {

std::vector<cudaStream_t> streams;
bool others_first;

bool may_run(const CUstream_st *stream) {
  return !stream->queue.empty() &&
         (!stream->queue.front().needs || stream->queue.front().needs->passed);
}

/* False if it is not done and has to be asked again. */
bool run_front(cudaStream_t stream) {
  const entry &next = stream->queue.front();
  if (next.work && !next.work()) return false;
  stream->queue.pop_front();
  return true;
}

/* All that the other streams can do without this one. */
void run_others(cudaStream_t stream) {
  for (bool ran = true; ran;) {
    ran = false;
    for (cudaStream_t other : streams) {
      if (other == stream) continue;
      for (; may_run(other) && run_front(other); ran = true) continue;
    }
  }
}

/* One entry: the stream's next, or of another stream one that it waits for. An event's place was
 * queued before anybody could wait for it, so there always is one. False where that was asked and
 * is not done, for which another process has to come. */
bool advance(cudaStream_t stream) {
  if (others_first) run_others(stream);
  std::shared_ptr<mark> needs = stream->queue.front().needs;
  return needs && !needs->passed ? advance(needs->stream) : run_front(stream);
}

/* One entry, waiting for others if need be. */
void advance_by_one(cudaStream_t stream) {
  while (!advance(stream)) sched_yield();
}

void drain(cudaStream_t stream) {
  device_memory_open();
  while (!stream->queue.empty()) advance_by_one(stream);
  device_memory_close();
}

}  // namespace

void emulated_others_first(bool on) { others_first = on; }

void emulated_enqueue(cudaStream_t stream, std::function<void()> work) {
  auto unless_broken = [work = std::move(work)] {
    if (emulated_broken == cudaSuccess) work();
    return true;
  };
  if (stream->recording)
    stream->recording->work.push_back(unless_broken);
  else
    stream->queue.push_back({unless_broken, nullptr});
}

void emulated_enqueue_until_done(cudaStream_t stream, std::function<bool()> work) {
  stream->queue.push_back(
      {[work = std::move(work)] { return emulated_broken != cudaSuccess || work(); }, nullptr});
}

void emulated_finish(cudaStream_t stream) { drain(stream); }

bool emulated_spoils_recording(void) {
  bool spoils = false;
  for (cudaStream_t stream : streams) {
    if (!stream->recording) continue;
    stream->recording->spoilt = spoils = true;
  }
  return spoils;
}

void emulated_finish_all(void) {
  for (cudaStream_t stream : streams) drain(stream);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) {
  (void)flags;
  *stream = new CUstream_st;
  streams.push_back(*stream);
  return emulated_done();
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority) {
  (void)priority; /* what it may change is tried by emulated_others_first */
  return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  drain(stream);
  streams.erase(std::find(streams.begin(), streams.end(), stream));
  delete stream;
  return emulated_done();
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  drain(stream);
  return emulated_done();
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  (void)flags;
  if (event->at) stream->queue.push_back({nullptr, event->at});
  return emulated_done();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
  (void)flags;
  *event = new CUevent_st;
  return emulated_done();
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return emulated_done();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  auto here = std::make_shared<mark>(mark{stream, false});
  event->at = here;
  stream->queue.push_back({[here] { return here->passed = true; }, nullptr});
  return emulated_done();
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  device_memory_open();
  while (event->at && !event->at->passed) advance_by_one(event->at->stream);
  device_memory_close();
  return emulated_done();
}

/* The device goes on while it is asked, by an entry each time. */
cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  bool early = event->at && !event->at->passed;
  if (!early) return emulated_done();
  device_memory_open();
  advance(event->at->stream);
  device_memory_close();
  return emulated_remember(emulated_broken == cudaSuccess ? cudaErrorNotReady : emulated_broken);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
  (void)mode;
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  stream->recording.reset(new capture{{}, false});
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  std::unique_ptr<capture> recorded = std::move(stream->recording);
  *graph = nullptr;
  if (!recorded) return emulated_remember(cudaErrorInvalidValue);
  if (recorded->spoilt) return emulated_remember(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st{std::move(recorded->work)};
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags) {
  (void)flags;
  if (fault_refuses("recording")) return emulated_remember(cudaErrorMemoryAllocation);
  *exec = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

/* What was instantiated stays as it was, whatever becomes of the graph. */
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  for (const std::function<bool()> &work : exec->work) stream->queue.push_back({work, nullptr});
  return emulated_done();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
