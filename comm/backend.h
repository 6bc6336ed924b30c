/* What a backend of comm implements: facts about the ranks and one table of functions.
 *
 * A backend only moves bytes. Everything that adds or decides is written once, above it, so that a
 * sum does not depend on a library's order of additions. All functions of the table but progress
 * and abort are collective; sizes count bytes. */
#ifndef COMM_BACKEND_H
#define COMM_BACKEND_H

#include <stdatomic.h>

#include "comm/comm.h"
#include "comm/link.h"

enum { PL_HOST_MAX = 256 };

/* Where this rank is. Plain data; comm fills it for a process alone, and a backend with more ranks
 * overwrites all but the host at its start. */
typedef struct pl_place {
  int rank, size;
  int local_rank, local_size;
  bool bound_apart;
  char host[PL_HOST_MAX];
} pl_place;

typedef struct pl_backend {
  const char *name;

  /* Ends the backend and frees its state. */
  void (*close)(void *state);

  /* Ends all other ranks; the caller then ends this one, so it may return. */
  void (*abort)(void *state, int exit_code);

  pl_status (*barrier)(void *state);
  pl_status (*broadcast)(void *state, void *data, size_t bytes, int root);

  /* As pl_comm_allgather; waits. Small parts are the common case: make that fast. */
  pl_status (*allgather)(void *state, const void *send, void *recv, const size_t *bytes);

  /* As their namesakes in comm.h, but the arrays are the caller's again at the return. May finish
   * at once and give a NULL request. */
  pl_status (*start_allgather)(void *state, const void *send, void *recv, const size_t *bytes,
                               pl_request **out);
  pl_status (*start_alltoall)(void *state, const void *send, const size_t *send_bytes,
                              const size_t *send_offset, void *recv, const size_t *recv_bytes,
                              const size_t *recv_offset, pl_request **out);
  pl_status (*progress)(void *state);
  /* The request may be NULL; at the return it is freed and NULL, whatever the status. */
  pl_status (*wait)(void *state, pl_request **request);
} pl_backend;

/* What carries a link. Functions as their namesakes in comm/link.h, of its state. */
typedef struct pl_link_backend {
  const char *name;
  pl_status (*open)(pl_comm *comm, void **state); /* errors are agreed */
  void (*close)(void *state);
  pl_status (*exchange)(void *state, const pl_link_piece *pieces);
  pl_status (*allgather)(void *state, const void *send, void *recv, const size_t *bytes);
  pl_status (*tree_sum)(void *state, float *const *pieces, size_t n);
  pl_status (*await)(void *state);
} pl_link_backend;

/* Signs of life: written by the thread that makes the calls, read by that of the watchdog. Each
 * member is of its own moment. */
typedef struct pl_life {
  _Atomic uint64_t signs;      /* grows with each sign */
  _Atomic(const char *) call;  /* between ranks, under way; NULL: none */
  _Atomic(const char *) doing; /* as pl_comm_alive told */
  _Atomic int64_t step;
} pl_life;

struct pl_comm {
  const pl_backend *backend;
  void *state; /* the backend's own */
  pl_place place;
  const pl_link_backend *link; /* NULL: devices exchange by memory of their hosts */
  void *link_state;
  bool link_cut;       /* see pl_link_is_cut */
  pl_ranks ranks;      /* what pl_comm_ranks hands out */
  char *scratch;       /* of pl_comm_scratch */
  size_t scratch_size; /* bytes */
  size_t *equal_parts; /* (size): scratch of gathers of equal parts */
  size_t sent_bytes;   /* see pl_comm_sent_bytes */
  char *agreed;        /* (PL_REASON_MAX): message of the last failure that ranks agreed on */
  pl_life life;
};

/* Both frame every public call, so that the watchdog sees it. A call inside of another goes by the
 * outer one's name, which pl_comm_enter returns for pl_comm_leave. */
const char *pl_comm_enter(pl_comm *comm, const char *call);
pl_status pl_comm_leave(pl_comm *comm, const char *outer, pl_status status);

/* Ends this process with this code after a few seconds, whatever hangs until then. */
void pl_comm_end_soon(int exit_code);

/* At least `bytes` bytes for use inside one collective call, kept for the next, so that the small
 * sums of a step allocate nothing. NULL as for pl_alloc. */
void *pl_comm_scratch(pl_comm *comm, size_t bytes);

#endif
