/* Start and end of a link by NCCL. */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/nccl/nccl.h"
#include "comm/nccl/state.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/cuda/stream.h"

static const double START_LIMIT_MS = 120e3, END_LIMIT_MS = 10e3;

/* ---- what NCCL answers ---- */

static void abort_comm(pl_nccl *n) {
  if (n->comm) ncclCommAbort(n->comm);
  n->comm = NULL;
}

static pl_status fail(pl_nccl *n, const char *what, ncclResult_t result) {
  char detail[512];
  const char *last = ncclGetLastError(n->comm);
  snprintf(detail, sizeof detail, "%s", last ? last : "");
  abort_comm(n);
  return PL_FAIL(PL_E_INTERNAL, "%s: NCCL says: %s%s%s", what, ncclGetErrorString(result),
                 detail[0] ? ": " : "", detail);
}

pl_status pl_nccl_settle(pl_nccl *n, const char *what, ncclResult_t result, double limit_ms) {
  double start = pl_now_ms();
  while (result == ncclInProgress) {
    if (limit_ms > 0 && pl_now_ms() - start > limit_ms) {
      abort_comm(n);
      return PL_FAIL(PL_E_INTERNAL, "%s: NCCL gave no answer within %.0f s", what, limit_ms / 1e3);
    }
    sched_yield();
    ncclResult_t asked = ncclCommGetAsyncError(n->comm, &result);
    if (asked != ncclSuccess) result = asked;
  }
  return result == ncclSuccess ? PL_OK : fail(n, what, result);
}

pl_status pl_nccl_check_health(pl_nccl *n) {
  ncclResult_t now = ncclSuccess;
  if (!n->comm) return PL_FAIL(PL_E_INTERNAL, "the link between devices was cut by an error");
  ncclResult_t asked = ncclCommGetAsyncError(n->comm, &now);
  if (asked != ncclSuccess) now = asked;
  if (now == ncclSuccess || now == ncclInProgress) return PL_OK;
  return fail(n, "exchange between devices", now);
}

/* ---- who has which GPU ---- */

enum { BUS_TEXT = 32 };

/* NCCL takes ranks for sharing a GPU whose host and bus address are the same; so does this. */
typedef struct gpu {
  char host[PL_HOST_MAX], bus[BUS_TEXT];
} gpu;

static pl_status name_own(const pl_comm *comm, gpu *own) {
  const char *host = getenv("NCCL_HOSTID"); /* as NCCL reads it */
  int device = 0;
  *own = (gpu){0};
  snprintf(own->host, sizeof own->host, "%s", host ? host : comm->place.host);
  PL_TRY(pl_cuda_check("the open device", cudaGetDevice(&device)));
  return pl_cuda_check("address of a device",
                       cudaDeviceGetPCIBusId(own->bus, sizeof own->bus, device));
}

static pl_status find_shared(const gpu *all, int size) {
  for (int b = 1; b < size; b++) {
    for (int a = 0; a < b; a++) {
      if (memcmp(&all[a], &all[b], sizeof *all) != 0) continue;
      return PL_FAIL(PL_E_USAGE,
                     "ranks %d and %d share the GPU %s of %s, which NCCL does not allow; start a "
                     "rank for each GPU",
                     a, b, all[b].bus, all[b].host);
    }
  }
  return PL_OK;
}

static pl_status check_own_gpus(pl_comm *comm) {
  gpu own;
  gpu *all = pl_alloc((size_t)comm->place.size, sizeof *all);
  pl_status status = all ? name_own(comm, &own) : PL_E_INTERNAL;
  PL_TRY_OR(done, status, pl_comm_agree(comm, status));
  PL_TRY_OR(done, status, pl_comm_allgather_equal(comm, &own, all, sizeof own));
  status = find_shared(all, comm->place.size); /* the same on all ranks */
done:
  pl_free(all);
  return status;
}

/* ---- making ---- */

/* Exchanges go before the device's other work, which needs their results: CUDA takes the most
 * urgent priority that it has. */
static pl_status make_queue(pl_nccl *n) {
  PL_TRY(pl_cuda_check("a stream",
                       cudaStreamCreateWithPriority(&n->stream, cudaStreamNonBlocking, INT_MIN)));
  PL_TRY(pl_cuda_check("an event", cudaEventCreateWithFlags(&n->begin, cudaEventDisableTiming)));
  return pl_cuda_check("an event", cudaEventCreateWithFlags(&n->end, cudaEventDisableTiming));
}

/* Rank 0's address for the others. */
static pl_status share_id(pl_comm *comm, ncclUniqueId *id) {
  pl_status status = PL_OK;
  memset(id, 0, sizeof *id);
  if (comm->place.rank == 0) {
    ncclResult_t made = ncclGetUniqueId(id);
    if (made != ncclSuccess)
      status = PL_FAIL(PL_E_INTERNAL, "an address for NCCL: NCCL says: %s: %s",
                       ncclGetErrorString(made), ncclGetLastError(NULL));
  }
  PL_TRY(pl_comm_agree(comm, status));
  return pl_comm_broadcast(comm, id, sizeof *id, 0);
}

static pl_status connect_ranks(pl_nccl *n, ncclUniqueId id) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclResult_t begun = ncclCommInitRankConfig(&n->comm, n->size, id, n->rank, &config);
  return pl_nccl_settle(n, "start of NCCL", begun, START_LIMIT_MS);
}

static void nccl_close(void *state) {
  pl_nccl *n = state;
  if (n->comm && pl_nccl_settle(n, "end of NCCL", ncclCommFinalize(n->comm), END_LIMIT_MS) == PL_OK)
    ncclCommDestroy(n->comm);
  if (n->begin) cudaEventDestroy(n->begin);
  if (n->end) cudaEventDestroy(n->end);
  if (n->stream) cudaStreamDestroy(n->stream);
  pl_free(n);
}

/* All ranks have NCCL, or none. */
static pl_status make(pl_comm *comm, pl_nccl *n) {
  ncclUniqueId id;
  PL_TRY(check_own_gpus(comm));
  PL_TRY(pl_comm_agree(comm, make_queue(n)));
  PL_TRY(share_id(comm, &id));
  pl_status status = pl_comm_agree(comm, connect_ranks(n, id));
  if (status != PL_OK) abort_comm(n);
  return status;
}

static pl_status nccl_open(pl_comm *comm, void **state) {
  pl_nccl *n = pl_alloc(1, sizeof *n);
  *state = NULL;
  pl_status status = pl_comm_agree(comm, n ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK) {
    n->rank = comm->place.rank;
    n->size = comm->place.size;
    status = make(comm, n);
  }
  if (status == PL_OK) {
    *state = n;
  } else if (n) {
    nccl_close(n);
  }
  return status;
}

static const pl_link_backend link = {
    .name = "NCCL",
    .open = nccl_open,
    .close = nccl_close,
    .exchange = pl_nccl_exchange,
    .allgather = pl_nccl_allgather,
    .tree_sum = pl_nccl_tree_sum,
    .await = pl_nccl_await,
};

const pl_link_backend *pl_nccl_link(void) { return &link; }
