#include "comm/link.h"

#include "comm/backend.h"
#include "comm/nccl/nccl.h"
#include "comm/pretended/pretended.h"
#include "runtime/base/log.h"

bool pl_link_built(void) { return pl_nccl_link() != NULL; }

bool pl_link_is_open(const pl_comm *comm) { return comm->link != NULL; }
bool pl_link_is_cut(const pl_comm *comm) { return comm->link_cut; }

static pl_status open_link(pl_comm *comm, const pl_device *device) {
  const pl_link_backend *link = pl_nccl_link();
  if (!link)
    return PL_FAIL(PL_E_USAGE,
                   "this program was built without NCCL; install it beside CUDA and build with "
                   "-DPLENUM_NCCL=ON");
  if (device->is_host)
    return PL_FAIL(PL_E_USAGE, "NCCL is for GPUs, and the ranks compute on the processor");
  PL_TRY(link->open(comm, &comm->link_state));
  comm->link = link;
  return PL_OK;
}

/* Nobody wonders why there is no link where none could be. */
static void tell(const pl_comm *comm, const pl_device *device) {
  if (comm->place.rank != 0 || device->is_host || !pl_link_built()) return;
  if (comm->link)
    PL_INFO("between GPUs: %s", comm->link->name);
  else
    PL_INFO("between GPUs: memory of the hosts (%s)", pl_last_reason()->message);
}

pl_status pl_link_open(pl_comm *comm, const pl_device *device, pl_link_choice choice) {
  if (comm->place.size == 1 || comm->link || choice == PL_LINK_HOST) return PL_OK;
  const char *outer = pl_comm_enter(comm, "start of a link");
  pl_status status = pl_comm_leave(comm, outer, open_link(comm, device));
  if (status != PL_OK && choice == PL_LINK_NCCL) return status;
  tell(comm, device);
  return PL_OK;
}

void pl_link_close(pl_comm *comm) {
  if (!comm->link) return;
  if (comm->link->close) comm->link->close(comm->link_state);
  comm->link = NULL;
  comm->link_state = NULL;
}

void pl_link_pretend(pl_comm *comm) { comm->link = &pl_pretended_link; }

/* As pl_comm_leave. */
static pl_status leave(pl_comm *comm, const char *outer, pl_status status) {
  if (status != PL_OK) comm->link_cut = true;
  return pl_comm_leave(comm, outer, status);
}

pl_status pl_link_exchange(pl_comm *comm, const pl_link_piece *pieces) {
  for (int k = 0; k < comm->place.size; k++) {
    if (k != comm->place.rank) comm->sent_bytes += pieces[k].send_bytes;
  }
  const char *outer = pl_comm_enter(comm, "start of an exchange between devices");
  return leave(comm, outer, comm->link->exchange(comm->link_state, pieces));
}

pl_status pl_link_allgather(pl_comm *comm, const void *send, void *recv, const size_t *bytes) {
  comm->sent_bytes += bytes[comm->place.rank] * (size_t)(comm->place.size - 1);
  const char *outer = pl_comm_enter(comm, "start of an all-gather between devices");
  return leave(comm, outer, comm->link->allgather(comm->link_state, send, recv, bytes));
}

pl_status pl_link_tree_sum(pl_comm *comm, float *const *pieces, size_t n) {
  return comm->link->tree_sum(comm->link_state, pieces, n);
}

pl_status pl_link_await(pl_comm *comm) {
  const char *outer = pl_comm_enter(comm, "exchange between devices");
  return leave(comm, outer, comm->link->await(comm->link_state));
}
