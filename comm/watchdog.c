#include "comm/watchdog.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "comm/roll_call.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

enum {
  TICKS_PER_LIMIT = 100, /* looks at the signs of life within the limit */
  GRACE_TICKS = 10,      /* that ranks have to answer a question; several, for slow folders */
  GRACE_LEAST_MS = 1000,
  TAKEOVER_GRACES = 3,   /* after so many, the rank that asked hangs itself */
  LAST_RESORT_GRACES = 6 /* after so many past the limit, so do the files */
};

/* Time without signs, as one thread counts it. */
typedef struct silence {
  uint64_t signs;
  double looked_ms; /* when it last looked */
  double ms;
} silence;

struct pl_watchdog {
  pl_comm *comm;
  char folder[PL_PATH_MAX];
  double limit_ms, tick_ms, grace_ms;
  pl_note *note; /* (ranks) */

  pthread_mutex_t lock; /* of the members up to the next gap */
  pthread_cond_t wake;
  bool stopping;
  pthread_t thread[2];
  int threads;

  _Atomic uint64_t excuses; /* times that this rank was found to wait for one that is at work */

  /* of the first thread alone */
  silence quiet;
  double ask_at_ms;   /* quiet time from which this rank asks */
  double question_ms; /* how long another rank's question has been there; 0: there is none */
};

/* Sleeps for a tick; false once the watchdog is to stop. */
static bool tick(pl_watchdog *w) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  double ns = (double)until.tv_nsec + fmod(w->tick_ms, 1e3) * 1e6;
  until.tv_sec += (time_t)(w->tick_ms / 1e3) + (ns >= 1e9);
  until.tv_nsec = (long)(ns >= 1e9 ? ns - 1e9 : ns);
  pthread_mutex_lock(&w->lock);
  while (!w->stopping && pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0) continue;
  bool go_on = !w->stopping;
  pthread_mutex_unlock(&w->lock);
  return go_on;
}

/* Counts on; true where there were signs since the last time. */
static bool look(const pl_watchdog *w, silence *quiet, uint64_t signs) {
  double now = pl_now_ms();
  double passed = now - quiet->looked_ms;
  quiet->looked_ms = now;
  /* A process that was suspended and goes on has not been quiet meanwhile. */
  quiet->ms += fmin(passed, 2 * w->tick_ms);
  if (signs == quiet->signs) return false;
  quiet->signs = signs;
  quiet->ms = 0;
  return true;
}

static bool look_at_own(pl_watchdog *w) {
  bool alive = look(w, &w->quiet, atomic_load(&w->comm->life.signs));
  if (alive) w->ask_at_ms = w->limit_ms;
  return alive;
}

static void copy_word(char to[PL_NOTE_WORD], const char *word) {
  snprintf(to, PL_NOTE_WORD, "%s", word ? word : "");
}

/* Fills in this rank's note. */
static const pl_note *own_note(pl_watchdog *w) {
  const pl_life *life = &w->comm->life;
  pl_note *own = &w->note[pl_comm_rank(w->comm)];
  own->there = true;
  own->quiet_s = w->quiet.ms / 1e3;
  own->step = atomic_load(&life->step);
  copy_word(own->call, atomic_load(&life->call));
  copy_word(own->doing, atomic_load(&life->doing));
  return own;
}

/* What this rank waits for is under way: it asks again later. */
static void excuse(pl_watchdog *w) {
  w->ask_at_ms = w->quiet.ms + w->limit_ms / 2;
  atomic_fetch_add(&w->excuses, 1);
}

/* Keeps the note that another rank's question asks for. */
static void heed_question(pl_watchdog *w) {
  if (pl_roll_call_asked(w->folder)) {
    bool is_new = w->question_ms == 0;
    w->question_ms += w->tick_ms;
    if (pl_roll_call_answer(w->folder, own_note(w)) == PL_OK || !is_new) return;
    /* Others will take this rank for silent; that it is not can be told here at least. */
    PL_WARN("watchdog: %s", pl_last_reason()->message);
  } else if (w->question_ms > 0) {
    w->question_ms = 0;
    pl_roll_call_retract(w->folder, pl_comm_rank(w->comm));
    excuse(w);
  }
}

/* Says who hangs and ends all. */
static void end_all(pl_watchdog *w, const char *what) {
  /* What hangs may be the log. */
  pl_comm_end_soon(PL_E_WATCHDOG);
  PL_ERROR("watchdog: no sign of life for %.0f s: %s", w->quiet.ms / 1e3, what);
  pl_comm_abort(w->comm, PL_E_WATCHDOG);
}

/* Reads all notes and ends all, unless a rank has given signs of life within the limit. */
static void judge(pl_watchdog *w) {
  int rank = pl_comm_rank(w->comm), ranks = pl_comm_size(w->comm);
  bool lively = false;
  for (int k = 0; k < ranks; k++) {
    if (k == rank) continue;
    pl_roll_call_read(w->folder, &w->note[k]);
    lively = lively || (w->note[k].there && w->note[k].quiet_s * 1e3 < w->limit_ms);
  }
  (void)own_note(w);
  if (lively) {
    excuse(w);
    return;
  }
  char text[3000];
  pl_roll_call_tell(w->note, ranks, text, sizeof text);
  end_all(w, text);
}

/* Asks all ranks, gives them time to answer, and judges; drops it if life returns meanwhile. */
static void hold_roll_call(pl_watchdog *w) {
  bool mine = false;
  if (pl_roll_call_ask(w->folder, &mine) != PL_OK) {
    char text[3000];
    pl_roll_call_tell(own_note(w), 1, text, sizeof text);
    size_t length = strlen(text);
    snprintf(text + length, sizeof text - length, "; others cannot be asked: %s",
             pl_last_reason()->message);
    end_all(w, text);
  }
  if (!mine) return;
  bool alive = false, stopping = false;
  for (double waited = 0; waited < w->grace_ms && !alive && !stopping; waited += w->tick_ms) {
    stopping = !tick(w);
    alive = look_at_own(w);
  }
  if (!alive && !stopping) judge(w);
  pl_roll_call_withdraw(w->folder);
}

static void *watch(void *watchdog) {
  pl_watchdog *w = watchdog;
  while (tick(w)) {
    (void)look_at_own(w);
    heed_question(w);
    if (w->quiet.ms < w->ask_at_ms) continue;
    if (w->question_ms == 0) hold_roll_call(w);
    if (w->question_ms > TAKEOVER_GRACES * w->grace_ms) judge(w);
  }
  return NULL;
}

/* Touches neither files nor the log: a file system that no longer answers holds up the other
 * thread, and may be what all wait for. */
static void *guard(void *watchdog) {
  pl_watchdog *w = watchdog;
  silence quiet = {.looked_ms = pl_now_ms()};
  do {
    uint64_t excuses = atomic_load(&w->excuses);
    (void)look(w, &quiet, atomic_load(&w->comm->life.signs) + excuses);
    if (quiet.ms > w->limit_ms + LAST_RESORT_GRACES * w->grace_ms) {
      pl_comm_end_soon(PL_E_WATCHDOG);
      dprintf(STDERR_FILENO,
              "error: watchdog: rank %d on %s has given no sign of life for %.0f s, and %s cannot "
              "be written to\n",
              pl_comm_rank(w->comm), pl_comm_host(w->comm), quiet.ms / 1e3, w->folder);
      pl_comm_abort(w->comm, PL_E_WATCHDOG);
    }
  } while (tick(w));
  return NULL;
}

static int start_thread(pl_watchdog *w, void *(*body)(void *)) {
  sigset_t all, before;
  sigfillset(&all);
  /* Signals are for the main thread: they have to interrupt what it waits in. */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int code = pthread_create(&w->thread[w->threads], NULL, body, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  w->threads += code == 0;
  return code;
}

/* All that this rank needs but the others' hosts; a folder without notes. */
static pl_status prepare(pl_watchdog *w, double limit_s, const char *folder) {
  int length = snprintf(w->folder, sizeof w->folder, "%s", folder);
  if ((size_t)length + sizeof "/rank-0000000000.new" > sizeof w->folder) {
    return PL_FAIL(PL_E_USAGE, "path too long for notes of the watchdog: %s", folder);
  }
  w->limit_ms = w->ask_at_ms = limit_s * 1e3;
  w->tick_ms = w->limit_ms / TICKS_PER_LIMIT;
  w->grace_ms = fmax(GRACE_TICKS * w->tick_ms, GRACE_LEAST_MS);
  w->quiet.looked_ms = pl_now_ms();
  w->note = pl_alloc((size_t)pl_comm_size(w->comm), sizeof *w->note);
  if (!w->note) return PL_E_INTERNAL;
  return pl_comm_rank(w->comm) == 0 ? pl_roll_call_clean(w->folder) : PL_OK;
}

static pl_status learn_hosts(pl_watchdog *w) {
  int ranks = pl_comm_size(w->comm);
  char *hosts = pl_alloc((size_t)ranks, PL_HOST_MAX);
  pl_status status = pl_comm_agree(w->comm, hosts ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK) {
    char own[PL_HOST_MAX] = "";
    snprintf(own, sizeof own, "%s", pl_comm_host(w->comm));
    status = pl_comm_allgather_equal(w->comm, own, hosts, sizeof own);
  }
  for (int k = 0; k < ranks && status == PL_OK; k++) {
    w->note[k].rank = k;
    memcpy(w->note[k].host, hosts + (size_t)k * PL_HOST_MAX, PL_HOST_MAX);
  }
  pl_free(hosts);
  return status;
}

static pl_status new_watchdog(pl_comm *comm, pl_watchdog **out) {
  pl_watchdog *w = pl_alloc(1, sizeof *w);
  if (!w) return PL_E_INTERNAL;
  w->comm = comm;
  pthread_condattr_t steady;
  pthread_condattr_init(&steady);
  pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
  pthread_cond_init(&w->wake, &steady);
  pthread_condattr_destroy(&steady);
  pthread_mutex_init(&w->lock, NULL);
  *out = w;
  return PL_OK;
}

pl_status pl_watchdog_start(pl_comm *comm, double limit_s, const char *folder, pl_watchdog **out) {
  *out = NULL;
  pl_watchdog *w = NULL;
  pl_status status = new_watchdog(comm, &w);
  if (status == PL_OK) status = prepare(w, limit_s, folder);
  PL_TRY_OR(done, status, pl_comm_agree(comm, status));
  PL_TRY_OR(done, status, learn_hosts(w));
  if (start_thread(w, watch) != 0 || start_thread(w, guard) != 0) {
    status = PL_FAIL(PL_E_INTERNAL, "no thread can be started");
  }
  PL_TRY_OR(done, status, pl_comm_agree(comm, status));
  *out = w;
  w = NULL;
done:
  pl_watchdog_stop(&w);
  return status;
}

void pl_watchdog_stop(pl_watchdog **watchdog) {
  pl_watchdog *w = *watchdog;
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->stopping = true;
  pthread_cond_broadcast(&w->wake);
  pthread_mutex_unlock(&w->lock);
  for (int k = 0; k < w->threads; k++) pthread_join(w->thread[k], NULL);
  if (w->question_ms > 0) pl_roll_call_retract(w->folder, pl_comm_rank(w->comm));
  pthread_cond_destroy(&w->wake);
  pthread_mutex_destroy(&w->lock);
  pl_free(w->note);
  pl_free(w);
  *watchdog = NULL;
}
