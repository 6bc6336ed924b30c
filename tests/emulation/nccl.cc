/* NCCL between processes that MPI has started. A group becomes work of its stream, done as late as
 * other work: then its messages go, and it is done when those of the other ranks are there. What
 * NCCL would not stand is told: sizes or calls that do not match, memory that is no device's, calls
 * before the one before them was settled.
 *
 * A device goes on by itself while its host waits for another process; here a host that is about to
 * wait in MPI first does what is queued up to the last exchange. So ranks may queue exchanges, wait
 * for the device and call MPI in any way that keeps one order of these on all ranks. */
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "tests/emulation/faults.h"
#include "tests/emulation/queue.h"

namespace {

const double PATIENCE_SECONDS = 60;
const int TAG = 1;

enum call { PIECE, BROADCAST, GATHER };

/* In front of each message: what its sender takes it for. */
struct label {
  size_t group, bytes;
  int what, root;
};

struct message {
  label says;
  bool leaves;
  int peer;
  const void *from;
  void *to;
  std::vector<char> bytes; /* label and content */
};

struct local_copy {
  const void *from;
  void *to;
  size_t bytes;
};

/* Calls that are one piece of work. */
struct group {
  ncclComm_t comm;
  cudaStream_t stream;
  size_t number;
  std::vector<message> messages;
  std::vector<local_copy> copies;
  std::vector<MPI_Request> requests;
  bool begun, lost;
  double since;
};

}  // namespace

struct ncclComm {
  MPI_Comm world;
  int rank, ranks;
  ncclUniqueId id;
  ncclResult_t failure;
  bool aborted;
  int polls; /* until what was begun goes on */
  std::function<ncclResult_t()> later;
  size_t groups;
  std::list<std::shared_ptr<group>> queued;
};

namespace {

std::vector<std::unique_ptr<ncclComm>> comms;
std::string last_error;
int depth;                     /* of groups within groups */
std::shared_ptr<group> opened; /* what the calls of the open group make */

ncclResult_t refuse(ncclResult_t result, const std::string &why) {
  last_error = why;
  return result;
}

[[noreturn]] void give_up(const group *g, int peer, const char *what) {
  fprintf(stderr, "emulated NCCL: group %zu of rank %d, with rank %d: %s\n", g->number,
          g->comm->rank, peer, what);
  abort();
}

/* ---- starting ---- */

struct card {
  char host[256], bus[32];
  ncclUniqueId id;
  int refused;
};

ncclResult_t connect(ncclComm *comm) {
  card own;
  memset(&own, 0, sizeof own);
  const char *host = getenv("NCCL_HOSTID");
  int device;
  if (host)
    snprintf(own.host, sizeof own.host, "%s", host);
  else
    gethostname(own.host, sizeof own.host - 1);
  cudaGetDevice(&device);
  cudaDeviceGetPCIBusId(own.bus, sizeof own.bus, device);
  own.id = comm->id;
  own.refused = fault_refuses("nccl");
  std::vector<card> all((size_t)comm->ranks);
  PMPI_Comm_dup(MPI_COMM_WORLD, &comm->world);
  PMPI_Allgather(&own, sizeof own, MPI_BYTE, all.data(), sizeof own, MPI_BYTE, comm->world);
  if (own.refused) return refuse(ncclSystemError, "no socket interface found");
  for (const card &other : all) {
    if (other.refused) return refuse(ncclRemoteError, "connection closed by remote peer");
    if (memcmp(&other.id, &own.id, sizeof own.id) != 0)
      return refuse(ncclInvalidArgument, "ranks have different ids");
    bool same = !strcmp(other.host, own.host) && !strcmp(other.bus, own.bus);
    if (same && &other - all.data() != comm->rank)
      return refuse(ncclInvalidUsage, "Duplicate GPU detected");
  }
  return ncclSuccess;
}

/* ---- groups at work ---- */

void begin(group *g) {
  g->begun = true;
  g->since = PMPI_Wtime();
  if (fault_loses()) {
    g->lost = true;
    g->comm->failure = refuse(ncclRemoteError, "connection closed by remote peer");
    return;
  }
  for (message &m : g->messages) {
    m.bytes.resize(sizeof m.says + m.says.bytes);
    if (m.leaves) {
      memcpy(m.bytes.data(), &m.says, sizeof m.says);
      memcpy(m.bytes.data() + sizeof m.says, m.from, m.says.bytes);
    }
    MPI_Request request;
    int size = (int)m.bytes.size();
    if (m.leaves)
      PMPI_Isend(m.bytes.data(), size, MPI_BYTE, m.peer, TAG, g->comm->world, &request);
    else
      PMPI_Irecv(m.bytes.data(), size, MPI_BYTE, m.peer, TAG, g->comm->world, &request);
    g->requests.push_back(request);
  }
}

void take(group *g, const message &m, MPI_Status *status) {
  label said;
  int size;
  PMPI_Get_count(status, MPI_BYTE, &size);
  memcpy(&said, m.bytes.data(), sizeof said);
  if (status->MPI_ERROR == MPI_ERR_TRUNCATE || size != (int)m.bytes.size() ||
      said.bytes != m.says.bytes)
    give_up(g, m.peer, "the sizes of a piece do not match");
  if (said.what != m.says.what || said.root != m.says.root || said.group != m.says.group)
    give_up(g, m.peer, "the calls do not match");
  memcpy(m.to, m.bytes.data() + sizeof said, said.bytes);
}

/* True when it is done. */
bool work_on(const std::shared_ptr<group> &g) {
  if (!g->begun && !g->comm->aborted) begin(g.get());
  int arrived = 0;
  std::vector<MPI_Status> status(g->requests.size());
  for (MPI_Status &s : status) s.MPI_ERROR = MPI_SUCCESS;
  if (!g->lost && !g->comm->aborted) {
    int code = PMPI_Testall((int)g->requests.size(), g->requests.data(), &arrived, status.data());
    if (code != MPI_SUCCESS) arrived = 1; /* take finds out */
    if (!arrived && PMPI_Wtime() - g->since > PATIENCE_SECONDS)
      give_up(g.get(), g->messages[0].peer, "no answer for a minute");
  }
  if (!arrived && !g->comm->aborted) return false;
  if (arrived) {
    for (size_t i = 0; i < g->messages.size(); i++)
      if (!g->messages[i].leaves) take(g.get(), g->messages[i], &status[i]);
    for (const local_copy &c : g->copies) memmove(c.to, c.from, c.bytes);
  }
  g->comm->queued.remove(g);
  return true;
}

/* ---- calls ---- */

ncclResult_t check(ncclComm_t comm, cudaStream_t stream, const void *from, const void *to,
                   size_t bytes, ncclDataType_t type, int peer) {
  if (!comm || comm->aborted || comm->polls > 0 || comm->later)
    return refuse(ncclInvalidUsage, "a call before the one before it was settled");
  if (!stream || (opened && (opened->stream != stream || opened->comm != comm)))
    return refuse(ncclInvalidUsage, "a group of several streams");
  if (type != ncclUint8 || peer < 0 || peer >= comm->ranks)
    return refuse(ncclInvalidArgument, "no such type or rank");
  if ((from && !device_memory_holds(from, bytes)) || (to && !device_memory_holds(to, bytes)))
    return refuse(ncclInvalidArgument, "a buffer that is not the device's");
  if (emulated_spoils_recording()) return refuse(ncclInvalidUsage, "a stream is being recorded");
  return ncclSuccess;
}

/* The group that the call belongs to. */
group *current(ncclComm_t comm, cudaStream_t stream) {
  if (!opened) {
    opened = std::make_shared<group>();
    opened->comm = comm;
    opened->stream = stream;
    opened->number = ++comm->groups;
  }
  return opened.get();
}

void pass(group *g, call what, int root, bool leaves, int peer, const void *from, void *to,
          size_t bytes) {
  g->messages.push_back({{g->number, bytes, what, root}, leaves, peer, from, to, {}});
}

ncclResult_t close_group(void) {
  std::shared_ptr<group> g = std::move(opened);
  opened.reset();
  if (!g) return ncclSuccess;
  g->comm->polls = 1;
  g->comm->later = [g] {
    g->comm->queued.push_back(g);
    emulated_enqueue_until_done(g->stream, [g] { return work_on(g); });
    return ncclSuccess;
  };
  return ncclInProgress;
}

ncclResult_t end_of_call(void) { return depth > 0 ? ncclSuccess : close_group(); }

void finish_exchanges(void) {
  for (const std::unique_ptr<ncclComm> &comm : comms)
    while (!comm->queued.empty() && comm->failure == ncclSuccess)
      emulated_finish(comm->queued.front()->stream);
}

}  // namespace

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  memset(id, 0, sizeof *id);
  snprintf(id->internal, sizeof id->internal, "process %ld", (long)getpid());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config) {
  if (config->magic != 0xcafebeef || config->blocking != 0)
    return refuse(ncclInvalidArgument, "only communicators that do not block are emulated");
  comms.emplace_back(new ncclComm());
  ncclComm *made = *comm = comms.back().get();
  made->rank = rank;
  made->ranks = ranks;
  made->id = id;
  made->polls = 3;
  made->later = [made] { return connect(made); };
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error) {
  if (comm->failure == ncclSuccess && comm->polls > 0) {
    comm->polls--;
    *error = ncclInProgress;
    return ncclSuccess;
  }
  std::function<ncclResult_t()> next = std::move(comm->later);
  comm->later = nullptr;
  if (next && comm->failure == ncclSuccess) comm->failure = next();
  *error = comm->failure;
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  comm->polls = 1;
  comm->later = [] {
    finish_exchanges();
    return ncclSuccess;
  };
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) { return ncclCommAbort(comm); }

/* What is queued ends without effect. */
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  comm->aborted = true;
  comm->later = nullptr;
  return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess: return "no error";
    case ncclSystemError: return "unhandled system error";
    case ncclInvalidArgument: return "invalid argument";
    case ncclInvalidUsage: return "invalid usage";
    case ncclRemoteError: return "remote process exited or there was a network error";
    case ncclInProgress: return "operation in progress";
    default: return "unknown";
  }
}

const char *ncclGetLastError(ncclComm_t comm) {
  (void)comm;
  return last_error.c_str();
}

ncclResult_t ncclGroupStart(void) {
  depth++;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void) {
  if (depth == 0) return refuse(ncclInvalidUsage, "a group ends that was not started");
  return --depth > 0 ? ncclSuccess : close_group();
}

ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  ncclResult_t result = check(comm, stream, from, nullptr, count, type, peer);
  if (result != ncclSuccess) return result;
  pass(current(comm, stream), PIECE, 0, true, peer, from, nullptr, count);
  return end_of_call();
}

ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  ncclResult_t result = check(comm, stream, nullptr, to, count, type, peer);
  if (result != ncclSuccess) return result;
  pass(current(comm, stream), PIECE, 0, false, peer, nullptr, to, count);
  return end_of_call();
}

ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  bool is_root = comm && root == comm->rank;
  ncclResult_t result = check(comm, stream, is_root ? from : nullptr, to, count, type, root);
  if (result != ncclSuccess) return result;
  group *g = current(comm, stream);
  if (!is_root) pass(g, BROADCAST, root, false, root, nullptr, to, count);
  for (int peer = 0; is_root && peer < comm->ranks; peer++)
    if (peer != root) pass(g, BROADCAST, root, true, peer, from, nullptr, count);
  if (is_root) g->copies.push_back({from, to, count});
  return end_of_call();
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  size_t ranks = comm ? (size_t)comm->ranks : 0;
  ncclResult_t result = check(comm, stream, from, nullptr, count, type, 0);
  if (result == ncclSuccess) result = check(comm, stream, nullptr, to, ranks * count, type, 0);
  if (result != ncclSuccess) return result;
  group *g = current(comm, stream);
  for (int peer = 0; peer < comm->ranks; peer++) {
    char *place = (char *)to + (size_t)peer * count;
    if (peer == comm->rank) {
      g->copies.push_back({from, place, count});
    } else {
      pass(g, GATHER, 0, true, peer, from, nullptr, count);
      pass(g, GATHER, 0, false, peer, nullptr, place, count);
    }
  }
  return end_of_call();
}

/* ---- calls of MPI in which a host waits ---- */

int MPI_Barrier(MPI_Comm comm) {
  finish_exchanges();
  return PMPI_Barrier(comm);
}

int MPI_Bcast(void *data, int count, MPI_Datatype type, int root, MPI_Comm comm) {
  finish_exchanges();
  return PMPI_Bcast(data, count, type, root, comm);
}

int MPI_Allgather(const void *from, int sent, MPI_Datatype sent_type, void *to, int count,
                  MPI_Datatype type, MPI_Comm comm) {
  finish_exchanges();
  return PMPI_Allgather(from, sent, sent_type, to, count, type, comm);
}

int MPI_Allgatherv(const void *from, int sent, MPI_Datatype sent_type, void *to, const int *counts,
                   const int *places, MPI_Datatype type, MPI_Comm comm) {
  finish_exchanges();
  return PMPI_Allgatherv(from, sent, sent_type, to, counts, places, type, comm);
}

int MPI_Wait(MPI_Request *request, MPI_Status *status) {
  finish_exchanges();
  return PMPI_Wait(request, status);
}
