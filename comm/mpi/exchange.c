/* Moving bytes between ranks by MPI.
 *
 * Pieces of different sizes go from rank to rank as messages of their own, not by MPI_Ialltoallv:
 * its counts and displacements are ints, so one rank's pieces may be too large for it where
 * another's are not, and ranks could not know without asking each other. Both ends of a message
 * know its size, cut it alike, and MPI keeps the order of messages between two ranks. A gather's
 * sizes are known to all, so the library's own gather is used wherever they fit. */
#include <string.h>

#include "comm/mpi/world.h"
#include "runtime/base/memory.h"

struct pl_request {
  pl_request *next;
  int count;            /* messages */
  int seen_done;        /* messages in front that are known to be done */
  MPI_Request *message; /* (count) */
  int *expected;        /* (count): bytes to be received, or -1 for none to be checked */
  int *counts;          /* (2 * size): for a gather, whose arrays must outlive it; else NULL */
};

static void free_request(pl_request *request) {
  if (!request) return;
  pl_free(request->message);
  pl_free(request->expected);
  pl_free(request->counts);
  pl_free(request);
}

static pl_request *new_request(size_t messages) {
  pl_request *request = pl_alloc(1, sizeof *request);
  if (!request) return NULL;
  request->message = pl_alloc(messages, sizeof(MPI_Request));
  request->expected = pl_alloc(messages, sizeof *request->expected);
  if (!request->message || !request->expected) {
    free_request(request);
    return NULL;
  }
  return request;
}

static void append_request(pl_mpi_world *world, pl_request *request) {
  pl_request **end = &world->oldest;
  while (*end) end = &(*end)->next;
  *end = request;
}

static void remove_request(pl_mpi_world *world, pl_request *request) {
  pl_request **at = &world->oldest;
  while (*at && *at != request) at = &(*at)->next;
  if (*at) *at = request->next;
}

static size_t messages_for(size_t bytes, size_t limit) { return (bytes + limit - 1) / limit; }

/* Starts receiving or sending `bytes` bytes from or to a rank, in messages within the limit. */
static pl_status post_receives(pl_mpi_world *world, pl_request *request, char *to, size_t bytes,
                               int from_rank) {
  for (size_t at = 0; at < bytes; at += world->limit) {
    int count = (int)(bytes - at < world->limit ? bytes - at : world->limit);
    request->expected[request->count] = count;
    PL_TRY(PL_MPI(MPI_Irecv(to + at, count, MPI_BYTE, from_rank, 0, world->comm,
                            &request->message[request->count])));
    request->count++;
  }
  return PL_OK;
}

static pl_status post_sends(pl_mpi_world *world, pl_request *request, const char *from,
                            size_t bytes, int to_rank) {
  for (size_t at = 0; at < bytes; at += world->limit) {
    int count = (int)(bytes - at < world->limit ? bytes - at : world->limit);
    request->expected[request->count] = -1;
    PL_TRY(PL_MPI(MPI_Isend(from + at, count, MPI_BYTE, to_rank, 0, world->comm,
                            &request->message[request->count])));
    request->count++;
  }
  return PL_OK;
}

/* All receives before all sends, so that what arrives finds its place; each rank starts with its
 * neighbour, so that not all send to the same. */
static pl_status post_pieces(pl_mpi_world *world, pl_request *request, const char *send,
                             const size_t *send_bytes, const size_t *send_offset, char *recv,
                             const size_t *recv_bytes, const size_t *recv_offset) {
  for (int step = 1; step < world->size; step++) {
    int peer = (world->rank + world->size - step) % world->size;
    PL_TRY(post_receives(world, request, recv + recv_offset[peer], recv_bytes[peer], peer));
  }
  for (int step = 1; step < world->size; step++) {
    int peer = (world->rank + step) % world->size;
    PL_TRY(post_sends(world, request, send + send_offset[peer], send_bytes[peer], peer));
  }
  return PL_OK;
}

pl_status pl_mpi_start_alltoall(void *state, const void *send, const size_t *send_bytes,
                                const size_t *send_offset, void *recv, const size_t *recv_bytes,
                                const size_t *recv_offset, pl_request **out) {
  pl_mpi_world *world = state;
  int own = world->rank;
  if (send_bytes[own] != recv_bytes[own]) {
    return PL_FAIL(PL_E_INTERNAL, "an exchange sends %zu bytes to its own rank, which expects %zu",
                   send_bytes[own], recv_bytes[own]);
  }
  size_t messages = 0;
  for (int k = 0; k < world->size; k++) {
    messages += messages_for(send_bytes[k], world->limit);
    messages += messages_for(recv_bytes[k], world->limit);
  }
  pl_request *request = new_request(messages);
  if (!request) return PL_E_INTERNAL;
  pl_status status =
      post_pieces(world, request, send, send_bytes, send_offset, recv, recv_bytes, recv_offset);
  if (status != PL_OK) {
    free_request(request);
    return status;
  }
  char *to = (char *)recv + recv_offset[own];
  const char *from = (const char *)send + send_offset[own];
  if (to != from && send_bytes[own] > 0) memcpy(to, from, send_bytes[own]);
  append_request(world, request);
  *out = request;
  return PL_OK;
}

/* Fills counts (2 * size) with the parts' sizes and displacements; false if they don't fit. */
static bool gather_counts(const pl_mpi_world *world, const size_t *bytes, int *counts) {
  size_t total = 0;
  for (int k = 0; k < world->size; k++) {
    if (bytes[k] > world->limit || total > world->limit - bytes[k]) return false;
    counts[k] = (int)bytes[k];
    counts[world->size + k] = (int)total;
    total += bytes[k];
  }
  return true;
}

/* A gather too large for MPI's: an exchange in which every rank gets the same piece. */
static pl_status start_large_allgather(pl_mpi_world *world, const void *send, void *recv,
                                       const size_t *bytes, pl_request **out) {
  size_t ranks = (size_t)world->size;
  size_t *arrays = pl_alloc(3 * ranks, sizeof *arrays);
  if (!arrays) return PL_E_INTERNAL;
  size_t *send_bytes = arrays;
  size_t *send_offset = arrays + ranks; /* stays zero: the whole part for everyone */
  size_t *recv_offset = arrays + 2 * ranks;
  for (size_t k = 0; k < ranks; k++) {
    send_bytes[k] = bytes[world->rank];
    if (k > 0) recv_offset[k] = recv_offset[k - 1] + bytes[k - 1];
  }
  pl_status status =
      pl_mpi_start_alltoall(world, send, send_bytes, send_offset, recv, bytes, recv_offset, out);
  pl_free(arrays);
  return status;
}

/* What to pass to MPI for a part that may lie in its place in recv already. */
static const void *send_or_in_place(const pl_mpi_world *world, const void *send, const void *recv,
                                    const int *counts) {
  return send == (const char *)recv + counts[world->size + world->rank] ? MPI_IN_PLACE : send;
}

pl_status pl_mpi_start_allgather(void *state, const void *send, void *recv, const size_t *bytes,
                                 pl_request **out) {
  pl_mpi_world *world = state;
  int *counts = pl_alloc(2 * (size_t)world->size, sizeof *counts);
  if (!counts) return PL_E_INTERNAL;
  if (!gather_counts(world, bytes, counts)) {
    pl_free(counts);
    return start_large_allgather(world, send, recv, bytes, out);
  }
  pl_request *request = new_request(1);
  if (!request) {
    pl_free(counts);
    return PL_E_INTERNAL;
  }
  request->counts = counts;
  request->expected[0] = -1;
  pl_status status = PL_MPI(MPI_Iallgatherv(
      send_or_in_place(world, send, recv, counts), (int)bytes[world->rank], MPI_BYTE, recv,
      request->counts, request->counts + world->size, MPI_BYTE, world->comm, request->message));
  if (status != PL_OK) {
    free_request(request);
    return status;
  }
  request->count = 1;
  append_request(world, request);
  *out = request;
  return PL_OK;
}

pl_status pl_mpi_allgather(void *state, const void *send, void *recv, const size_t *bytes) {
  pl_mpi_world *world = state;
  if (!gather_counts(world, bytes, world->counts)) {
    pl_request *request = NULL;
    PL_TRY(start_large_allgather(world, send, recv, bytes, &request));
    return pl_mpi_wait(world, &request);
  }
  int mine = (int)bytes[world->rank];
  const void *from = send_or_in_place(world, send, recv, world->counts);
  bool equal = true;
  for (int k = 0; k < world->size; k++) equal = equal && bytes[k] == bytes[0];
  /* Libraries have their fast ways for few bytes in the plain gather only. */
  if (equal) {
    return PL_MPI(MPI_Allgather(from, mine, MPI_BYTE, recv, mine, MPI_BYTE, world->comm));
  }
  return PL_MPI(MPI_Allgatherv(from, mine, MPI_BYTE, recv, world->counts,
                               world->counts + world->size, MPI_BYTE, world->comm));
}

pl_status pl_mpi_barrier(void *state) {
  pl_mpi_world *world = state;
  return PL_MPI(MPI_Barrier(world->comm));
}

pl_status pl_mpi_broadcast(void *state, void *data, size_t bytes, int root) {
  pl_mpi_world *world = state;
  for (size_t at = 0; at < bytes; at += world->limit) {
    int count = (int)(bytes - at < world->limit ? bytes - at : world->limit);
    PL_TRY(PL_MPI(MPI_Bcast((char *)data + at, count, MPI_BYTE, root, world->comm)));
  }
  return PL_OK;
}

pl_status pl_mpi_progress(void *state) {
  pl_mpi_world *world = state;
  for (pl_request *request = world->oldest; request; request = request->next) {
    while (request->seen_done < request->count) {
      int done = 0;
      PL_TRY(PL_MPI(
          MPI_Request_get_status(request->message[request->seen_done], &done, MPI_STATUS_IGNORE)));
      /* Asking for one that is not done has moved on all that are under way. */
      if (!done) return PL_OK;
      request->seen_done++;
    }
  }
  return PL_OK;
}

static pl_status wait_for_message(MPI_Request *message, int expected) {
  MPI_Status arrived;
  int bytes = 0;
  PL_TRY(PL_MPI(MPI_Wait(message, &arrived)));
  if (expected < 0) return PL_OK;
  PL_TRY(PL_MPI(MPI_Get_count(&arrived, MPI_BYTE, &bytes)));
  if (bytes != expected) {
    return PL_FAIL(PL_E_INTERNAL, "rank %d sent %d bytes where %d were expected",
                   arrived.MPI_SOURCE, bytes, expected);
  }
  return PL_OK;
}

pl_status pl_mpi_wait(void *state, pl_request **request) {
  pl_mpi_world *world = state;
  pl_request *waited = *request;
  if (!waited) return PL_OK;
  *request = NULL;
  pl_status status = PL_OK;
  for (int i = 0; i < waited->count && status == PL_OK; i++) {
    status = wait_for_message(&waited->message[i], waited->expected[i]);
  }
  remove_request(world, waited);
  free_request(waited);
  return status;
}
