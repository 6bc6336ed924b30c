/* For builds with AddressSanitizer, in front of MPI's own functions: what MPI takes at its start
 * and its end, and keeps, is not looked at. Telling these thousands of blocks by tests/lsan.supp
 * takes seconds of every program. */
#include <mpi.h>
#include <sanitizer/lsan_interface.h>

int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
  __lsan_disable();
  int code = PMPI_Init_thread(argc, argv, required, provided);
  __lsan_enable();
  return code;
}

int MPI_Finalize(void) {
  __lsan_disable();
  int code = PMPI_Finalize();
  __lsan_enable();
  return code;
}
