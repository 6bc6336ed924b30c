/* Everything between ranks. One handle, three kinds of call: moving bytes, summing in the shape of
 * the batch tree, agreeing.
 *
 * Backends: self (one process, always there) and mpi; and for planning, pretended. What goes from
 * GPU to GPU by NCCL is comm/link.h's. All functions marked Collective must be called by all ranks
 * in the same order. A failure inside a collective call means that ranks may no longer be in step:
 * the caller ends with pl_comm_abort. */
#ifndef COMM_COMM_H
#define COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/ranks.h"
#include "runtime/base/status.h"

typedef struct pl_comm pl_comm;
typedef struct pl_request pl_request; /* an exchange under way */

/* Starts the backend that fits how the process was started: mpi where a launcher is there, else
 * self (MPI is then not even started). PL_E_USAGE where the launcher started several processes that
 * do not see each other (a Slurm step of several tasks, or OMPI_COMM_WORLD_SIZE > 1, but a world of
 * one rank), and for a launcher in a build without MPI. With mpi, a rank ends itself when its
 * launcher dies. Once in a process. Collective. */
pl_status pl_comm_create(int *argc, char ***argv, pl_comm **out);

/* One process alone, without looking for a launcher; for tests and tools. Not collective. */
pl_status pl_comm_create_self(pl_comm **out);

/* Rank `rank` of `ranks` ranks that are not there (comm/pretended/pretended.h): for planning what a
 * rank of so many would need. Not collective. */
pl_status pl_comm_create_pretended(int ranks, int rank, pl_comm **out);

/* Collective. NULL is allowed. */
void pl_comm_destroy(pl_comm **comm);

/* Ends all ranks at once with this exit code; does not return, and ends this process after a few
 * seconds whatever hangs. From any thread; comm may be NULL. Not collective. */
void pl_comm_abort(pl_comm *comm, int exit_code) __attribute__((noreturn));

int pl_comm_rank(const pl_comm *comm);
int pl_comm_size(const pl_comm *comm);
int pl_comm_local_rank(const pl_comm *comm); /* among the ranks on this host */
int pl_comm_local_size(const pl_comm *comm);
const char *pl_comm_host(const pl_comm *comm);
const char *pl_comm_backend(const pl_comm *comm); /* "self" or "mpi" */
/* Whether the ranks on this host are bound to disjoint sets of processors. */
bool pl_comm_bound_apart(const pl_comm *comm);

/* A sign of life for the watchdog (comm/watchdog.h): what this rank is at ("training",
 * "evaluation"; a static string) and at which step; -1 leaves the step as it was. Cheap. From the
 * thread that makes the collective calls. Not collective. */
void pl_comm_alive(pl_comm *comm, int64_t step, const char *doing);

/* Collective. */
pl_status pl_comm_barrier(pl_comm *comm);

/* Copies `bytes` bytes from `root` to all. Collective; bytes and root must match on all ranks. */
pl_status pl_comm_broadcast(pl_comm *comm, void *data, size_t bytes, int root);

/* Gathers on all ranks: recv holds the ranks' parts one after another; part k has bytes[k] bytes
 * and this rank sends bytes[rank] bytes. In place if send is this rank's part of recv. Parts of any
 * size, also together over 2 GiB. Collective; bytes must match on all ranks. */
pl_status pl_comm_allgather(pl_comm *comm, const void *send, void *recv, const size_t *bytes);

/* Gathers `bytes` bytes of every rank on all ranks: recv holds size*bytes. Collective. */
pl_status pl_comm_allgather_equal(pl_comm *comm, const void *send, void *recv, size_t bytes);

/* Starts an exchange of pieces: piece k of send (send_bytes[k] bytes at send_offset[k]) goes to
 * rank k; recv gets the piece of each rank likewise. Both buffers stay with the caller and must
 * stay untouched until pl_comm_wait; the arrays are free again at the return. Collective; the sizes
 * that two ranks name for a piece must match. */
pl_status pl_comm_start_alltoall(pl_comm *comm, const void *send, const size_t *send_bytes,
                                 const size_t *send_offset, void *recv, const size_t *recv_bytes,
                                 const size_t *recv_offset, pl_request **out);
/* Starts an all-gather likewise, so that it runs beside computing. Collective. */
pl_status pl_comm_start_allgather(pl_comm *comm, const void *send, void *recv, const size_t *bytes,
                                  pl_request **out);
/* Bytes that this rank has sent to others so far, a copy for each of them. Not collective. */
size_t pl_comm_sent_bytes(const pl_comm *comm);
/* Lets exchanges under way move on; cheap; call it now and then while computing. Not collective. */
pl_status pl_comm_progress(pl_comm *comm);
/* Waits for the end of an exchange and frees it, leaving NULL; NULL is allowed. */
pl_status pl_comm_wait(pl_comm *comm, pl_request **request);

/* values[0..n) = sum over ranks in the shape of the tree over ranks (runtime/base/tree.h): bitwise
 * the same on all ranks, and with power-of-two counts what one rank would have got from the tree
 * over its leaves. Small vectors by one all-gather, large ones by exchange, sum, all-gather.
 * Collective; n must match on all ranks. */
pl_status pl_comm_sum_f64(pl_comm *comm, double *values, size_t n);

/* Bytes that this rank sends in such a sum. Not collective. */
size_t pl_comm_sum_sent_bytes(const pl_comm *comm, size_t n);

/* The same as a handle for code below comm; valid as long as comm. */
const pl_ranks *pl_comm_ranks(pl_comm *comm);

/* Largest of each value over ranks; NaN if any is. Collective; n must match on all ranks. */
pl_status pl_comm_max_f64(pl_comm *comm, double *values, size_t n);

/* Agrees on success: PL_OK if `status` is PL_OK on all ranks; else on all ranks the status of the
 * failed rank with the lowest number, and as reason that rank's message with rank and host in front
 * ("rank 3 on node7: …"). Every step that can fail on one rank alone ends with this. Collective. */
static inline pl_status pl_comm_agree(pl_comm *comm, pl_status status);

/* Fails with PL_E_USAGE on all ranks, naming `what` and the first differing rank, unless the
 * `bytes` bytes at `data` are the same on all ranks. Collective. */
pl_status pl_comm_agree_same(pl_comm *comm, const char *what, const void *data, size_t bytes);

/* The exchange behind pl_comm_agree. */
pl_status pl_comm_settle(pl_comm *comm, pl_status status);

/* A failure is never agreed away: said here once more, where compilers and checkers see it. */
static inline pl_status pl_comm_agree(pl_comm *comm, pl_status status) {
  pl_status agreed = pl_comm_settle(comm, status);
  return agreed != PL_OK ? agreed : status;
}

#endif
