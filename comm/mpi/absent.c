/* Stands for the MPI backend in a build without MPI. */
#include "comm/mpi/mpi.h"

/* The types are those of the backend that starts. */
/* NOLINTNEXTLINE(readability-non-const-parameter) */
pl_status pl_mpi_start(int *argc, char ***argv, const pl_backend **backend, void **state,
                       pl_place *place) {
  (void)argc;
  (void)argv;
  (void)backend;
  (void)state;
  (void)place;
  return PL_FAIL(PL_E_USAGE,
                 "this build of plenum has no MPI (PLENUM_MPI=OFF) and runs alone only");
}

void pl_mpi_limit_messages(pl_comm *comm, size_t bytes) {
  (void)comm;
  (void)bytes;
}
