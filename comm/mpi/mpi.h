/* The MPI backend: the ranks of MPI_COMM_WORLD.
 *
 * Needs MPI 3.0 and calls it from one thread at a time. Without MPI in the build, pl_mpi_start is
 * still there and fails. */
#ifndef COMM_MPI_MPI_H
#define COMM_MPI_MPI_H

#include "comm/backend.h"

/* Starts MPI; the backend with its state, and the place of this rank. PL_E_INTERNAL where MPI fails
 * or was started before in this process. Collective. */
pl_status pl_mpi_start(int *argc, char ***argv, const pl_backend **backend, void **state,
                       pl_place *place);

/* Moves more than `bytes` bytes between two ranks in several messages; by default the limit is the
 * largest that MPI's int counts allow. For tests. Must match on all ranks; no exchange may be under
 * way. Does nothing where `comm` has another backend. */
void pl_mpi_limit_messages(pl_comm *comm, size_t bytes);

#endif
