/* Start and end of MPI, and what it knows of this rank's place. */
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "comm/mpi/mpi.h"
#include "comm/mpi/world.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"

const pl_backend pl_mpi_backend = {
    .name = "mpi",
    .close = pl_mpi_close,
    .abort = pl_mpi_abort,
    .barrier = pl_mpi_barrier,
    .broadcast = pl_mpi_broadcast,
    .allgather = pl_mpi_allgather,
    .start_allgather = pl_mpi_start_allgather,
    .start_alltoall = pl_mpi_start_alltoall,
    .progress = pl_mpi_progress,
    .wait = pl_mpi_wait,
};

pl_status pl_mpi_check(int code, const char *call, const char *file, int line) {
  if (code == MPI_SUCCESS) return PL_OK;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  int name = 0; /* of the function alone, without its arguments */
  while (call[name] != '\0' && call[name] != '(') name++;
  return pl_fail_at(file, line, PL_E_INTERNAL, "%.*s failed: %s", name, call, text);
}

/* A rank whose launcher died would wait for its peers for ever. (A death signal from the kernel,
 * PR_SET_PDEATHSIG, would do it without a thread, but it comes as soon as the thread that forked
 * this process ends, and daemons fork from threads that live only while a job starts.) */
static void *watch_parent(void *handed_over) {
  pid_t parent = *(pid_t *)handed_over;
  pl_free(handed_over);
  while (getppid() == parent) sleep(1);
  PL_ERROR("the launcher of this rank is gone");
  _exit(PL_E_INTERNAL);
}

static pl_status start_parent_watch(pid_t parent) {
  pid_t *handed_over = pl_alloc(1, sizeof *handed_over);
  if (!handed_over) return PL_E_INTERNAL;
  *handed_over = parent;
  sigset_t all, before;
  sigfillset(&all);
  pthread_t thread;
  /* Signals are for the main thread: they have to interrupt what it waits in. */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&thread, NULL, watch_parent, handed_over);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (code != 0) {
    pl_free(handed_over);
    return PL_FAIL(PL_E_INTERNAL, "no thread can be started");
  }
  pthread_detach(thread);
  return PL_OK;
}

static bool all_apart(const pl_processors *set, int sets) {
  for (int i = 0; i < sets; i++) {
    if (!pl_processors_overlap(&set[i], &set[i])) return false; /* empty: not known */
    for (int j = 0; j < i; j++) {
      if (pl_processors_overlap(&set[i], &set[j])) return false;
    }
  }
  return true;
}

static pl_status find_local_ranks(const pl_mpi_world *world, pl_place *place) {
  pl_status status = PL_OK;
  pl_processors *sets = NULL;
  MPI_Comm local = MPI_COMM_NULL;
  PL_TRY_OR(done, status,
            PL_MPI(MPI_Comm_split_type(world->comm, MPI_COMM_TYPE_SHARED, world->rank,
                                       MPI_INFO_NULL, &local)));
  PL_TRY_OR(done, status, PL_MPI(MPI_Comm_rank(local, &place->local_rank)));
  PL_TRY_OR(done, status, PL_MPI(MPI_Comm_size(local, &place->local_size)));
  sets = pl_alloc((size_t)place->local_size, sizeof *sets);
  if (!sets) {
    status = PL_E_INTERNAL;
    goto done;
  }
  sets[place->local_rank] = pl_processors_allowed();
  PL_TRY_OR(
      done, status,
      PL_MPI(MPI_Allgather(MPI_IN_PLACE, 0, MPI_BYTE, sets, (int)sizeof *sets, MPI_BYTE, local)));
  place->bound_apart = all_apart(sets, place->local_size);
done:
  if (local != MPI_COMM_NULL) MPI_Comm_free(&local);
  pl_free(sets);
  return status;
}

static pl_status start_library(int *argc, char ***argv) {
  int started = 0;
  PL_TRY(PL_MPI(MPI_Initialized(&started)));
  if (started) return PL_FAIL(PL_E_INTERNAL, "MPI can be started only once in a process");
  int threading = MPI_THREAD_SINGLE;
  PL_TRY(PL_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &threading)));
  if (threading < MPI_THREAD_FUNNELED) {
    return PL_FAIL(PL_E_INTERNAL, "this MPI does not support programs with threads");
  }
  return PL_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
}

static pl_status open_world(pl_mpi_world *world, pl_place *place) {
  world->limit = INT_MAX;
  PL_TRY(PL_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &world->comm)));
  PL_TRY(PL_MPI(MPI_Comm_set_errhandler(world->comm, MPI_ERRORS_RETURN)));
  PL_TRY(PL_MPI(MPI_Comm_rank(world->comm, &world->rank)));
  PL_TRY(PL_MPI(MPI_Comm_size(world->comm, &world->size)));
  world->counts = pl_alloc(2 * (size_t)world->size, sizeof *world->counts);
  if (!world->counts) return PL_E_INTERNAL;
  place->rank = world->rank;
  place->size = world->size;
  return find_local_ranks(world, place);
}

pl_status pl_mpi_start(int *argc, char ***argv, const pl_backend **backend, void **state,
                       pl_place *place) {
  pid_t parent = getppid();
  PL_TRY(start_library(argc, argv));
  PL_TRY(start_parent_watch(parent));
  pl_mpi_world *world = pl_alloc(1, sizeof *world);
  if (!world) return PL_E_INTERNAL;
  pl_status status = open_world(world, place);
  if (status != PL_OK) {
    /* MPI stays open: ending it here would wait for ranks that do not fail. */
    pl_free(world->counts);
    pl_free(world);
    return status;
  }
  *backend = &pl_mpi_backend;
  *state = world;
  return PL_OK;
}

void pl_mpi_close(void *state) {
  pl_mpi_world *world = state;
  MPI_Comm_free(&world->comm);
  MPI_Finalize();
  pl_free(world->counts);
  pl_free(world);
}

void pl_mpi_abort(void *state, int exit_code) {
  (void)state;
  MPI_Abort(MPI_COMM_WORLD, exit_code);
}

void pl_mpi_limit_messages(pl_comm *comm, size_t bytes) {
  if (comm->backend != &pl_mpi_backend) return;
  pl_mpi_world *world = comm->state;
  world->limit = bytes < INT_MAX ? bytes : INT_MAX;
}
