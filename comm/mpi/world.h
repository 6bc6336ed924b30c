/* State of the MPI backend, shared by its files. */
#ifndef COMM_MPI_WORLD_H
#define COMM_MPI_WORLD_H

#include <mpi.h>

#include "comm/backend.h"

typedef struct pl_mpi_world {
  MPI_Comm comm; /* a duplicate of MPI_COMM_WORLD, so that no message of ours meets another's */
  int rank, size;
  size_t limit;       /* bytes of the largest message; at most INT_MAX */
  int *counts;        /* (2 * size): byte counts and displacements of a gather that is waited for */
  pl_request *oldest; /* exchanges under way, in the order of their start */
} pl_mpi_world;

/* PL_OK for MPI_SUCCESS, else PL_E_INTERNAL with MPI's own text. */
pl_status pl_mpi_check(int code, const char *call, const char *file, int line);

#define PL_MPI(call) pl_mpi_check((call), #call, __FILE__, __LINE__)

extern const pl_backend pl_mpi_backend;

/* Bodies of the table's entries; see comm/backend.h. */
void pl_mpi_close(void *state);
void pl_mpi_abort(void *state, int exit_code);
pl_status pl_mpi_barrier(void *state);
pl_status pl_mpi_broadcast(void *state, void *data, size_t bytes, int root);
pl_status pl_mpi_allgather(void *state, const void *send, void *recv, const size_t *bytes);
pl_status pl_mpi_start_allgather(void *state, const void *send, void *recv, const size_t *bytes,
                                 pl_request **out);
pl_status pl_mpi_start_alltoall(void *state, const void *send, const size_t *send_bytes,
                                const size_t *send_offset, void *recv, const size_t *recv_bytes,
                                const size_t *recv_offset, pl_request **out);
pl_status pl_mpi_progress(void *state);
pl_status pl_mpi_wait(void *state, pl_request **request);

#endif
