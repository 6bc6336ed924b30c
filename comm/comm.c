/* The handle: which backend, where this rank is, and moving bytes through the backend. */
#include "comm/comm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/backend.h"
#include "comm/launcher.h"
#include "comm/mpi/mpi.h"
#include "comm/pretended/pretended.h"
#include "comm/self/self.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

static pl_status sum_for_ranks(void *context, double *values, size_t n) {
  return pl_comm_sum_f64(context, values, n);
}

/* A handle with the self backend, which a larger one may replace. */
static pl_comm *new_comm(void) {
  pl_comm *comm = pl_alloc(1, sizeof *comm);
  if (!comm) return NULL;
  comm->backend = &pl_self_backend;
  comm->place = (pl_place){.size = 1, .local_size = 1, .bound_apart = true};
  /* A name that is too long may come without its end. */
  if (gethostname(comm->place.host, PL_HOST_MAX - 1) != 0) strcpy(comm->place.host, "localhost");
  atomic_store(&comm->life.doing, "start");
  return comm;
}

enum { AGREE_BYTES = 64 }; /* scratch of an agreement for each rank, at most */

/* What depends on the number of ranks. */
static pl_status complete(pl_comm *comm) {
  comm->ranks = (pl_ranks){
      .rank = comm->place.rank, .count = comm->place.size, .context = comm, .sum = sum_for_ranks};
  comm->equal_parts = pl_alloc((size_t)comm->place.size, sizeof *comm->equal_parts);
  comm->agreed = pl_alloc(PL_REASON_MAX, 1);
  if (!comm->equal_parts || !comm->agreed) return PL_E_INTERNAL;
  /* Agreeing on a failure, lack of memory among them, must not need memory. */
  return pl_comm_scratch(comm, (size_t)comm->place.size * AGREE_BYTES) ? PL_OK : PL_E_INTERNAL;
}

pl_status pl_comm_create_self(pl_comm **out) {
  pl_comm *comm = new_comm();
  if (!comm) return PL_E_INTERNAL;
  pl_status status = complete(comm);
  if (status != PL_OK) pl_comm_destroy(&comm);
  *out = comm;
  return status;
}

pl_status pl_comm_create_pretended(int ranks, int rank, pl_comm **out) {
  pl_comm *comm = new_comm();
  if (!comm) return PL_E_INTERNAL;
  comm->backend = &pl_pretended_backend;
  comm->state = &comm->place;
  comm->place.size = ranks;
  comm->place.rank = rank;
  pl_status status = complete(comm);
  if (status != PL_OK) pl_comm_destroy(&comm);
  *out = comm;
  return status;
}

/* Where MPI then ends the process by itself, in its own words, ours have been said before. */
static void warn_of_silence(const pl_launcher *launcher) {
  const char *task = getenv("SLURM_PROCID");
  if (!launcher->silent || (task && strcmp(task, "0") != 0)) return;
  PL_WARN(
      "srun started %d tasks without PMI or PMIx; if they fail to find each other, use srun "
      "--mpi=pmix (srun --mpi=list tells what there is) or mpirun",
      launcher->tasks);
}

static pl_status check_launcher(const pl_launcher *launcher, int size) {
  if (launcher->tasks <= 1 || size > 1) return PL_OK;
  return PL_FAIL(PL_E_USAGE,
                 "the launcher started %d processes (%s), but each of them sees one rank only: "
                 "they would all do the same work. Launch with the mpirun of the MPI that plenum "
                 "was built with, or with srun --mpi=pmix",
                 launcher->tasks, launcher->source);
}

pl_status pl_comm_create(int *argc, char ***argv, pl_comm **out) {
  *out = NULL;
  pl_launcher launcher = pl_launcher_look();
  pl_comm *comm = new_comm();
  if (!comm) return PL_E_INTERNAL;
  pl_status status = PL_OK;
  if (launcher.found) {
    warn_of_silence(&launcher);
    PL_TRY_OR(done, status, pl_mpi_start(argc, argv, &comm->backend, &comm->state, &comm->place));
  }
  PL_TRY_OR(done, status, check_launcher(&launcher, comm->place.size));
  PL_TRY_OR(done, status, complete(comm));
  *out = comm;
  comm = NULL;
done:
  pl_comm_destroy(&comm);
  return status;
}

void pl_comm_destroy(pl_comm **comm) {
  if (!*comm) return;
  pl_link_close(*comm);
  (*comm)->backend->close((*comm)->state);
  pl_free((*comm)->scratch);
  pl_free((*comm)->equal_parts);
  pl_free((*comm)->agreed);
  pl_free(*comm);
  *comm = NULL;
}

enum { ABORT_SECONDS = 10 };

static void *end_at_deadline(void *exit_code) {
  sleep(ABORT_SECONDS);
  _exit(*(int *)exit_code);
}

void pl_comm_end_soon(int exit_code) {
  /* Where these can't be had, the caller goes on without the safeguard. */
  int *handed_over = pl_alloc(1, sizeof *handed_over);
  if (!handed_over) return;
  *handed_over = exit_code;
  pthread_t deadline;
  if (pthread_create(&deadline, NULL, end_at_deadline, handed_over) == 0) {
    pthread_detach(deadline);
  } else {
    pl_free(handed_over);
  }
}

void pl_comm_abort(pl_comm *comm, int exit_code) {
  /* The library, or a lock on a stream, may be what hangs. */
  pl_comm_end_soon(exit_code);
  fflush(stdout);
  fflush(stderr);
  if (comm) comm->backend->abort(comm->state, exit_code);
  _exit(exit_code);
}

int pl_comm_rank(const pl_comm *comm) { return comm->place.rank; }
int pl_comm_size(const pl_comm *comm) { return comm->place.size; }
int pl_comm_local_rank(const pl_comm *comm) { return comm->place.local_rank; }
int pl_comm_local_size(const pl_comm *comm) { return comm->place.local_size; }
const char *pl_comm_host(const pl_comm *comm) { return comm->place.host; }
const char *pl_comm_backend(const pl_comm *comm) { return comm->backend->name; }
bool pl_comm_bound_apart(const pl_comm *comm) { return comm->place.bound_apart; }
const pl_ranks *pl_comm_ranks(pl_comm *comm) { return &comm->ranks; }

void *pl_comm_scratch(pl_comm *comm, size_t bytes) {
  if (bytes > comm->scratch_size) {
    pl_free(comm->scratch);
    comm->scratch = pl_alloc(bytes, 1);
    comm->scratch_size = comm->scratch ? bytes : 0;
  }
  return comm->scratch;
}

static void give_sign(pl_comm *comm) { atomic_fetch_add(&comm->life.signs, 1); }

const char *pl_comm_enter(pl_comm *comm, const char *call) {
  const char *outer = atomic_load(&comm->life.call);
  if (!outer) atomic_store(&comm->life.call, call);
  give_sign(comm);
  return outer;
}

pl_status pl_comm_leave(pl_comm *comm, const char *outer, pl_status status) {
  atomic_store(&comm->life.call, outer);
  give_sign(comm);
  return status;
}

void pl_comm_alive(pl_comm *comm, int64_t step, const char *doing) {
  if (step >= 0) atomic_store(&comm->life.step, step);
  atomic_store(&comm->life.doing, doing);
  give_sign(comm);
}

pl_status pl_comm_barrier(pl_comm *comm) {
  const char *outer = pl_comm_enter(comm, "barrier");
  return pl_comm_leave(comm, outer, comm->backend->barrier(comm->state));
}

/* What this rank has for all others. */
static void count_copies(pl_comm *comm, size_t bytes) {
  comm->sent_bytes += bytes * (size_t)(comm->place.size - 1);
}

size_t pl_comm_sent_bytes(const pl_comm *comm) { return comm->sent_bytes; }

pl_status pl_comm_broadcast(pl_comm *comm, void *data, size_t bytes, int root) {
  if (comm->place.rank == root) count_copies(comm, bytes);
  const char *outer = pl_comm_enter(comm, "broadcast");
  return pl_comm_leave(comm, outer, comm->backend->broadcast(comm->state, data, bytes, root));
}

pl_status pl_comm_allgather(pl_comm *comm, const void *send, void *recv, const size_t *bytes) {
  count_copies(comm, bytes[comm->place.rank]);
  const char *outer = pl_comm_enter(comm, "all-gather");
  return pl_comm_leave(comm, outer, comm->backend->allgather(comm->state, send, recv, bytes));
}

pl_status pl_comm_allgather_equal(pl_comm *comm, const void *send, void *recv, size_t bytes) {
  for (int k = 0; k < comm->place.size; k++) comm->equal_parts[k] = bytes;
  return pl_comm_allgather(comm, send, recv, comm->equal_parts);
}

pl_status pl_comm_start_alltoall(pl_comm *comm, const void *send, const size_t *send_bytes,
                                 const size_t *send_offset, void *recv, const size_t *recv_bytes,
                                 const size_t *recv_offset, pl_request **out) {
  for (int k = 0; k < comm->place.size; k++) {
    if (k != comm->place.rank) comm->sent_bytes += send_bytes[k];
  }
  const char *outer = pl_comm_enter(comm, "start of an exchange");
  return pl_comm_leave(comm, outer,
                       comm->backend->start_alltoall(comm->state, send, send_bytes, send_offset,
                                                     recv, recv_bytes, recv_offset, out));
}

pl_status pl_comm_start_allgather(pl_comm *comm, const void *send, void *recv, const size_t *bytes,
                                  pl_request **out) {
  count_copies(comm, bytes[comm->place.rank]);
  const char *outer = pl_comm_enter(comm, "start of an all-gather");
  return pl_comm_leave(comm, outer,
                       comm->backend->start_allgather(comm->state, send, recv, bytes, out));
}

pl_status pl_comm_progress(pl_comm *comm) {
  give_sign(comm);
  return comm->backend->progress(comm->state);
}

pl_status pl_comm_wait(pl_comm *comm, pl_request **request) {
  const char *outer = pl_comm_enter(comm, "exchange");
  return pl_comm_leave(comm, outer, comm->backend->wait(comm->state, request));
}
