/* Moving bytes between devices by NCCL, in a stream of its own. */
#include <sched.h>

#include "comm/nccl/state.h"
#include "runtime/base/tree.h"
#include "runtime/cuda/launch.h"
#include "runtime/cuda/recording.h"
#include "runtime/cuda/stream.h"

/* What is queued next comes after all that the device was given so far. */
static pl_status begin(pl_nccl *n) {
  if (pl_cuda_is_recording())
    return PL_FAIL(PL_E_INTERNAL, "exchanges between devices can't be recorded");
  PL_TRY(pl_nccl_check_health(n));
  PL_TRY(pl_cuda_check("an exchange", cudaEventRecord(n->begin, pl_cuda_stream())));
  return pl_cuda_check("an exchange", cudaStreamWaitEvent(n->stream, n->begin, 0));
}

static bool has_failed(ncclResult_t result) {
  return result != ncclSuccess && result != ncclInProgress;
}

/* A group that was started is ended, whatever fails in it. Connections are made by the first
 * exchange between two ranks, which waits for the other one. */
static pl_status end_group(pl_nccl *n, ncclResult_t within) {
  ncclResult_t ended = ncclGroupEnd();
  return pl_nccl_settle(n, "exchange between devices", has_failed(within) ? within : ended, 0);
}

static ncclResult_t send_to(pl_nccl *n, int peer, const pl_link_piece *piece) {
  if (piece->send_bytes == 0) return ncclSuccess;
  return ncclSend(piece->send, piece->send_bytes, ncclUint8, peer, n->comm, n->stream);
}

static ncclResult_t receive_from(pl_nccl *n, int peer, const pl_link_piece *piece) {
  if (piece->recv_bytes == 0) return ncclSuccess;
  return ncclRecv(piece->recv, piece->recv_bytes, ncclUint8, peer, n->comm, n->stream);
}

static pl_status copy_own(pl_nccl *n, const void *from, void *to, size_t bytes) {
  if (from == to || bytes == 0) return PL_OK;
  return pl_cuda_check("copy on the device",
                       cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, n->stream));
}

pl_status pl_nccl_exchange(void *state, const pl_link_piece *pieces) {
  pl_nccl *n = state;
  const pl_link_piece *own = &pieces[n->rank];
  if (own->send_bytes != own->recv_bytes)
    return PL_FAIL(PL_E_INTERNAL, "an exchange sends %zu bytes to its own rank, which expects %zu",
                   own->send_bytes, own->recv_bytes);
  PL_TRY(begin(n));
  PL_TRY(copy_own(n, own->send, own->recv, own->send_bytes));
  ncclResult_t result = ncclGroupStart();
  for (int step = 1; step < n->size && !has_failed(result); step++) {
    int to = (n->rank + step) % n->size, from = (n->rank + n->size - step) % n->size;
    result = send_to(n, to, &pieces[to]);
    if (!has_failed(result)) result = receive_from(n, from, &pieces[from]);
  }
  return end_group(n, result);
}

/* Parts of different sizes: each rank's to all others, as one group. */
static pl_status gather_unequal(pl_nccl *n, const void *send, char *recv, const size_t *bytes) {
  ncclResult_t result = ncclGroupStart();
  for (int k = 0; k < n->size && !has_failed(result); recv += bytes[k++]) {
    if (bytes[k] == 0) continue;
    const void *from = k == n->rank ? send : recv;
    result = ncclBroadcast(from, recv, bytes[k], ncclUint8, k, n->comm, n->stream);
  }
  return end_group(n, result);
}

pl_status pl_nccl_allgather(void *state, const void *send, void *recv, const size_t *bytes) {
  pl_nccl *n = state;
  bool equal = true;
  for (int k = 1; k < n->size; k++) equal = equal && bytes[k] == bytes[0];
  PL_TRY(begin(n));
  if (!equal) return gather_unequal(n, send, recv, bytes);
  if (bytes[0] == 0) return PL_OK;
  ncclResult_t result = ncclAllGather(send, recv, bytes[0], ncclUint8, n->comm, n->stream);
  return pl_nccl_settle(n, "all-gather between devices", result, 0);
}

/* Pieces are pushed on the stack of the tree and merged as it says. */
pl_status pl_nccl_tree_sum(void *state, float *const *pieces, size_t n) {
  const pl_nccl *link = state;
  float *stack[PL_TREE_WHOLE + 1];
  if (n == 0) return PL_OK;
  for (int k = 0; k < link->size; k++) {
    pl_tree_push push = pl_tree_place(link->size, PL_TREE_WHOLE, k);
    int top = push.slot;
    stack[top] = pieces[k];
    for (int merges = push.merges; merges > 0; merges--, top--)
      pl_launch_add_f32(link->stream, stack[top - 1], stack[top], n);
  }
  return pl_cuda_check("sum over ranks", cudaGetLastError());
}

/* As urgently as CUDA waits itself: the next step is queued only then. */
pl_status pl_nccl_await(void *state) {
  pl_nccl *n = state;
  PL_TRY(pl_cuda_check("an exchange", cudaEventRecord(n->end, n->stream)));
  for (;;) {
    cudaError_t done = cudaEventQuery(n->end);
    if (done != cudaErrorNotReady) return pl_cuda_check("exchange between devices", done);
    (void)cudaGetLastError(); /* else the next launch would seem to have failed */
    PL_TRY(pl_nccl_check_health(n));
    sched_yield();
  }
}
