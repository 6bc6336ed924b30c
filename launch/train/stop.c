#include "launch/train/stop.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/base/clock.h"

/* The first signal that asked, a pl_stop. Lock-free, so that a handler may touch it. */
static atomic_int asked = PL_STOP_NONE;

static void ask(int number) {
  int none = PL_STOP_NONE;
  int why = number == SIGTERM ? PL_STOP_TERM : number == SIGUSR1 ? PL_STOP_USR1 : PL_STOP_INT;
  atomic_compare_exchange_strong(&asked, &none, why);
}

static pl_status handle(int number, void (*handler)(int), int flags) {
  /* Calls that wait go on: files are read and ranks talk until the step is done. */
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART | flags};
  sigemptyset(&action.sa_mask);
  if (sigaction(number, &action, NULL) == 0) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "cannot handle signal %d: %s", number, strerror(errno));
}

pl_status pl_stop_listen(void) {
  PL_TRY(handle(SIGTERM, ask, 0));
  PL_TRY(handle(SIGUSR1, ask, 0));
  PL_TRY(handle(SIGINT, ask, (int)SA_RESETHAND)); /* the second one finds the default again */
  return handle(SIGXFSZ, SIG_IGN, 0);
}

/* The end of the job on the clock of pl_now_ms. An end that is over was handed down from a job of
 * before: no job gets to start after its end. */
static double job_end(void) {
  const char *text = getenv("SLURM_JOB_END_TIME");
  if (!text) text = getenv("PLENUM_JOB_END_TIME");
  if (!text) return INFINITY;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  char *end;
  double left_s = strtod(text, &end) - ((double)now.tv_sec + (double)now.tv_nsec * 1e-9);
  if (end == text || *end != '\0' || !(left_s > 0)) return INFINITY;
  return pl_now_ms() + left_s * 1e3;
}

pl_stop_clock pl_stop_clock_start(double limit_s) {
  return (pl_stop_clock){
      .limit_end_ms = limit_s > 0 ? pl_now_ms() + limit_s * 1e3 : INFINITY,
      .job_end_ms = job_end(),
  };
}

pl_stop pl_stop_asked(const pl_stop_clock *clock, double margin_ms) {
  int signalled = atomic_load(&asked);
  if (signalled != PL_STOP_NONE) return (pl_stop)signalled;
  double saved_ms = pl_now_ms() + margin_ms;
  if (saved_ms >= clock->limit_end_ms) return PL_STOP_LIMIT;
  if (saved_ms >= clock->job_end_ms) return PL_STOP_JOB;
  return PL_STOP_NONE;
}

const char *pl_stop_name(pl_stop stop) {
  switch (stop) {
    case PL_STOP_NONE: return "none";
    case PL_STOP_TERM: return "SIGTERM";
    case PL_STOP_USR1: return "SIGUSR1";
    case PL_STOP_INT: return "SIGINT";
    case PL_STOP_LIMIT: return "run.time_limit";
    case PL_STOP_JOB: return "end of the job";
  }
  return "unknown";
}
