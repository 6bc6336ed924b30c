/* Agreeing: one rank's failure becomes every rank's, and differences are found. */
#include <stdio.h>
#include <string.h>

#include "comm/backend.h"
#include "comm/comm.h"
#include "comm/pretended/pretended.h"
#include "runtime/base/hash.h"

/* Puts rank and host in front of this rank's message, unless it carries the message of a failure
 * that was agreed before, and so names its rank already. */
static void name_rank(const pl_comm *comm, pl_status status) {
  if (comm->agreed[0] != '\0' && strstr(pl_last_reason()->message, comm->agreed)) return;
  (void)pl_context(status, "rank %d on %s", comm->place.rank, comm->place.host);
}

static pl_status settle(pl_comm *comm, pl_status status) {
  int size = comm->place.size;
  pl_status *all = pl_comm_scratch(comm, (size_t)size * sizeof *all);
  if (!all) return PL_E_INTERNAL;
  PL_TRY(pl_comm_allgather_equal(comm, &status, all, sizeof status));
  int failed = 0;
  while (failed < size && all[failed] == PL_OK) failed++;
  if (failed == size) return PL_OK;
  pl_status agreed = all[failed];
  char message[PL_REASON_MAX] = "";
  if (comm->place.rank == failed) {
    name_rank(comm, status);
    memcpy(message, pl_last_reason()->message, sizeof message);
  }
  PL_TRY(pl_comm_broadcast(comm, message, sizeof message, failed));
  memcpy(comm->agreed, message, sizeof message);
  return comm->place.rank == failed ? agreed : PL_FAIL(agreed, "%s", message);
}

pl_status pl_comm_settle(pl_comm *comm, pl_status status) {
  /* Pretended ranks have nothing to say, and no names. */
  if (comm->place.size == 1 || comm->backend == &pl_pretended_backend) return status;
  const char *outer = pl_comm_enter(comm, "agreement");
  return pl_comm_leave(comm, outer, settle(comm, status));
}

/* What is compared instead of the data. */
typedef struct fingerprint {
  pl_hash128 hash;
  uint64_t bytes;
} fingerprint;

static pl_status compare(pl_comm *comm, const char *what, const void *data, size_t bytes) {
  int size = comm->place.size;
  fingerprint mine = {.hash = pl_hash(data, bytes), .bytes = bytes};
  fingerprint *all = pl_comm_scratch(comm, (size_t)size * sizeof *all);
  if (!all) return PL_E_INTERNAL;
  PL_TRY(pl_comm_allgather_equal(comm, &mine, all, sizeof mine));
  int other = 1;
  while (other < size && memcmp(&all[other], &all[0], sizeof mine) == 0) other++;
  if (other == size) return PL_OK;
  char host[2][PL_HOST_MAX];
  memcpy(host[0], comm->place.host, PL_HOST_MAX);
  memcpy(host[1], comm->place.host, PL_HOST_MAX);
  PL_TRY(pl_comm_broadcast(comm, host[0], PL_HOST_MAX, 0));
  PL_TRY(pl_comm_broadcast(comm, host[1], PL_HOST_MAX, other));
  return PL_FAIL(PL_E_USAGE, "%s differs between rank 0 on %s and rank %d on %s", what, host[0],
                 other, host[1]);
}

pl_status pl_comm_agree_same(pl_comm *comm, const char *what, const void *data, size_t bytes) {
  if (comm->place.size == 1) return PL_OK;
  const char *outer = pl_comm_enter(comm, "comparison");
  return pl_comm_leave(comm, outer, compare(comm, what, data, bytes));
}
