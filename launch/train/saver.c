#include "launch/train/saver.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "launch/train/saver_copy.h"
#include "runtime/base/account.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"

struct pl_saver {
  pl_saver_setup setup;
  int rank, ranks;
  pl_save_report *reports; /* (ranks) of pl_saver_finish */

  /* The save under way. What follows from reports alone changes on all ranks alike. */
  int32_t saves; /* begun so far */
  bool saving;
  pl_saver_copy copy;
  pl_checkpoint_part_record *parts; /* (ranks) */
  double asked_at_ms, taken_at_ms;  /* when it was to be taken, and when that began */
  double copy_ms, stall_ms;
  double part_ms;     /* the slowest part */
  int64_t part_bytes; /* all parts */

  /* Of completed saves. */
  pl_save_outcome outcome;
  bool outcome_is_new;
  double longest_ms, best;

  /* Between the caller and the thread, under the lock. The thread owns the copy and `parts`
   * while it is busy; else the caller does. */
  pthread_t thread;
  bool started, ending;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  pl_save_phase phase;
  pl_reason reason; /* PL_SAVE_FAILED */
  pl_checkpoint_part_record written;
  double busy_ms;
  double best_found;
};

/* ---- the thread ---- */

/* Of equal ones the newest. */
static pl_status find_best(const pl_saver_setup *setup, int64_t *step, double *value) {
  *step = -1;
  *value = NAN;
  if (setup->metric[0] == '\0') return PL_OK;
  pl_checkpoint_entry *entries = NULL;
  int count = 0;
  PL_TRY(pl_checkpoint_list(setup->parent, setup->metric, &entries, &count));
  for (int e = 0; e < count; e++) {
    double found = entries[e].value;
    bool better = setup->smaller_is_better ? found < *value : found > *value;
    if (isnan(found) || (*step >= 0 && !better)) continue;
    *step = entries[e].step;
    *value = found;
  }
  pl_free(entries);
  return PL_OK;
}

static pl_status commit(const pl_saver *s, double *best) {
  const pl_saver_setup *setup = &s->setup;
  int64_t best_step;
  PL_TRY(pl_checkpoint_commit(setup->parent, setup->space, &s->copy.sliced, &s->copy.replicated,
                              &s->copy.about));
  PL_TRY(find_best(setup, &best_step, best));
  return pl_checkpoint_prune(setup->parent, setup->keep, best_step);
}

static bool busy(const pl_saver *s) {
  return s->phase == PL_SAVE_WRITING || s->phase == PL_SAVE_COMMITTING;
}

/* Does what the phase asks for; the lock is held at call and return. */
static void work_on(pl_saver *s) {
  const pl_saver_setup *setup = &s->setup;
  bool writing = s->phase == PL_SAVE_WRITING;
  pl_checkpoint_part_record written = {0};
  double best = NAN;
  pthread_mutex_unlock(&s->lock);
  double start = pl_now_ms();
  pl_status status =
      writing ? pl_checkpoint_write_part(setup->parent, s->copy.about.step, setup->slice,
                                         &s->copy.sliced, s->rank == 0 ? &s->copy.replicated : NULL,
                                         pl_space_buffer_elements(setup->space), &written)
              : commit(s, &best);
  double end = pl_now_ms();
  pthread_mutex_lock(&s->lock);
  s->busy_ms = end - start;
  if (status != PL_OK) {
    s->reason = *pl_last_reason();
    s->phase = PL_SAVE_FAILED;
  } else if (writing) {
    s->written = written;
    s->phase = PL_SAVE_WRITTEN;
  } else {
    s->best_found = best;
    s->phase = PL_SAVE_IDLE;
  }
  pthread_cond_broadcast(&s->changed);
}

static void *work(void *argument) {
  PL_MEMORY_FOR(PL_MEMORY_CHECKPOINT);
  pl_saver *s = argument;
  pthread_mutex_lock(&s->lock);
  while (!s->ending) {
    if (busy(s)) {
      work_on(s);
    } else {
      pthread_cond_wait(&s->changed, &s->lock);
    }
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

static void set_phase(pl_saver *s, pl_save_phase phase) {
  pthread_mutex_lock(&s->lock);
  s->phase = phase;
  pthread_cond_broadcast(&s->changed);
  pthread_mutex_unlock(&s->lock);
}

static void wait_for_thread(pl_saver *s) {
  pthread_mutex_lock(&s->lock);
  while (busy(s)) pthread_cond_wait(&s->changed, &s->lock);
  pthread_mutex_unlock(&s->lock);
}

/* ---- creation ---- */

static pl_status reserve(pl_saver *s) {
  s->parts = pl_alloc((size_t)s->ranks, sizeof *s->parts);
  s->reports = pl_alloc((size_t)s->ranks, sizeof *s->reports);
  if (!s->parts || !s->reports) return PL_E_INTERNAL;
  return pl_saver_copy_reserve(&s->copy, &s->setup);
}

static pl_status start_thread(pl_saver *s) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&s->thread, NULL, work, s);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  s->started = error == 0;
  if (s->started) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "can't start the thread that saves: %s", strerrordesc_np(error));
}

static pl_status set_up(pl_saver *s) {
  int64_t step;
  if (s->rank == 0) {
    PL_TRY(pl_checkpoint_clean(s->setup.parent));
    PL_TRY(find_best(&s->setup, &step, &s->best));
  }
  PL_TRY(reserve(s));
  return start_thread(s);
}

static pl_saver *allocate(const pl_saver_setup *setup) {
  pl_saver *s = pl_alloc(1, sizeof *s);
  if (!s) return NULL;
  s->setup = *setup;
  s->rank = pl_comm_rank(setup->comm);
  s->ranks = pl_comm_size(setup->comm);
  s->outcome.step = -1;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->changed, NULL);
  return s;
}

pl_status pl_saver_create(const pl_saver_setup *setup, pl_saver **out) {
  PL_MEMORY_FOR(PL_MEMORY_CHECKPOINT);
  *out = NULL;
  pl_saver *s = allocate(setup);
  pl_status status = pl_comm_agree(setup->comm, s ? set_up(s) : PL_E_INTERNAL);
  if (status == PL_OK) status = pl_comm_broadcast(setup->comm, &s->best, sizeof s->best, 0);
  if (status == PL_OK) {
    *out = s;
  } else {
    pl_saver_destroy(&s);
  }
  return status;
}

void pl_saver_destroy(pl_saver **saver) {
  pl_saver *s = *saver;
  if (!s) return;
  if (s->started) {
    pthread_mutex_lock(&s->lock);
    s->ending = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
  }
  pthread_cond_destroy(&s->changed);
  pthread_mutex_destroy(&s->lock);
  pl_saver_copy_free(&s->copy);
  pl_free(s->reports);
  pl_free(s->parts);
  pl_free(s);
  *saver = NULL;
}

/* ---- a save ---- */

pl_status pl_saver_take(pl_saver *s, const pl_checkpoint_vectors **copy) {
  s->asked_at_ms = pl_now_ms();
  PL_TRY(pl_saver_finish(s));
  s->taken_at_ms = pl_now_ms();
  *copy = &s->copy.sliced;
  return pl_comm_agree(s->setup.comm, pl_saver_copy_state(&s->copy, &s->setup));
}

void pl_saver_start(pl_saver *s, const pl_checkpoint_manifest *about) {
  pl_status status = s->rank == 0 ? pl_saver_copy_about(&s->copy, about) : PL_OK;
  s->copy.about.step = about->step;
  if (status != PL_OK) s->reason = *pl_last_reason();
  s->saves++;
  s->saving = true;
  set_phase(s, status == PL_OK ? PL_SAVE_WRITING : PL_SAVE_FAILED);
  double end = pl_now_ms();
  s->copy_ms = end - s->taken_at_ms;
  s->stall_ms = end - s->asked_at_ms;
}

void pl_saver_report(pl_saver *s, pl_save_report *mine) {
  memset(mine, 0, sizeof *mine); /* padding too: reports travel as bytes */
  pthread_mutex_lock(&s->lock);
  mine->phase = (int32_t)s->phase;
  mine->save = s->saves;
  mine->ms = s->busy_ms;
  mine->best = s->best_found;
  mine->part = s->written;
  pthread_mutex_unlock(&s->lock);
}

/* A rank that has not failed may still write: its part must not outlive the verdict. */
static pl_status give_up(pl_saver *s) {
  wait_for_thread(s);
  pl_status status = s->phase == PL_SAVE_FAILED ? pl_adopt_reason(&s->reason) : PL_OK;
  s->saving = false;
  set_phase(s, PL_SAVE_IDLE);
  return pl_comm_agree(s->setup.comm, status);
}

static const pl_save_report *report_of(const pl_save_report *reports, size_t stride, int rank) {
  return (const pl_save_report *)((const char *)reports + stride * (size_t)rank);
}

/* All parts are on disk: the rest is up to rank 0. */
static void hand_over(pl_saver *s, const pl_save_report *reports, size_t stride) {
  s->part_ms = 0;
  s->part_bytes = 0;
  for (int rank = 0; rank < s->ranks; rank++) {
    const pl_save_report *report = report_of(reports, stride, rank);
    s->parts[rank] = report->part;
    s->part_bytes += report->part.bytes;
    s->part_ms = fmax(s->part_ms, report->ms);
  }
  s->copy.about.parts = s->ranks;
  s->copy.about.part = s->parts;
  set_phase(s, s->rank == 0 ? PL_SAVE_COMMITTING : PL_SAVE_IDLE);
}

static void complete(pl_saver *s, const pl_save_report *root) {
  s->saving = false;
  s->best = root->best;
  s->outcome = (pl_save_outcome){.step = s->copy.about.step,
                                 .bytes = s->part_bytes,
                                 .stall_ms = s->stall_ms,
                                 .write_ms = s->part_ms + root->ms};
  s->outcome_is_new = true;
  s->longest_ms = fmax(s->longest_ms, s->copy_ms + s->outcome.write_ms);
}

/* Decides by the reports alone, which all ranks have alike; the phase here may have moved on. */
pl_status pl_saver_advance(pl_saver *s, const pl_save_report *reports, size_t stride) {
  if (!s->saving || reports->save != s->saves) return PL_OK;
  bool failed = false, written = true;
  for (int rank = 0; rank < s->ranks; rank++) {
    int32_t phase = report_of(reports, stride, rank)->phase;
    if (phase == (int32_t)PL_SAVE_FAILED) failed = true;
    if (phase != (int32_t)PL_SAVE_WRITTEN) written = false;
  }
  if (failed) return give_up(s);
  if (written) {
    hand_over(s, reports, stride);
  } else if (reports->phase == (int32_t)PL_SAVE_IDLE) {
    complete(s, reports);
  }
  return PL_OK;
}

pl_status pl_saver_finish(pl_saver *s) {
  while (s->saving) {
    pl_save_report mine;
    wait_for_thread(s);
    pl_saver_report(s, &mine);
    PL_TRY(pl_comm_allgather_equal(s->setup.comm, &mine, s->reports, sizeof mine));
    PL_TRY(pl_saver_advance(s, s->reports, sizeof mine));
  }
  return PL_OK;
}

pl_save_outcome pl_saver_outcome(pl_saver *s, bool *is_new) {
  *is_new = s->outcome_is_new;
  s->outcome_is_new = false;
  return s->outcome;
}

double pl_saver_longest_ms(const pl_saver *s) { return s->longest_ms; }

double pl_saver_best(const pl_saver *s) { return s->best; }
