#include "launch/saver.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"

struct pl_saver {
  pl_saver_setup setup;
  int rank, ranks;
  float *storage; /* of the copy */
  pl_checkpoint_vectors vectors, replicated;
  pl_save_report *reports; /* (ranks) of pl_saver_finish */

  /* The save under way. What follows from reports alone changes on all ranks alike. */
  int32_t saves; /* begun so far */
  bool saving;
  pl_checkpoint_manifest about; /* rank 0: with the saver's own copy of all it points to */
  char *texts;
  pl_checkpoint_shard *shards;
  pl_checkpoint_part_record *parts; /* (ranks) */
  double copy_ms, stall_ms;
  double part_ms;     /* the slowest part */
  int64_t part_bytes; /* all parts */

  /* Of completed saves. */
  pl_save_outcome outcome;
  bool outcome_is_new;
  double longest_ms, best;

  /* Between the caller and the thread, under the lock. The thread owns the copy, `about` and
   * `parts` while it is busy; else the caller does. */
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
  PL_TRY(pl_checkpoint_commit(setup->parent, setup->space, &s->vectors, &s->replicated, &s->about));
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
      writing ? pl_checkpoint_write_part(setup->parent, s->about.step, setup->slice, &s->vectors,
                                         s->rank == 0 ? &s->replicated : NULL,
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

static size_t floats_padded(size_t floats) {
  return pl_align_up(floats * sizeof(float)) / sizeof(float);
}

/* Cuts `storage` into vectors of the same names; returns where they end. */
static float *lay_out(const pl_checkpoint_vectors *live, size_t floats, float *storage,
                      pl_checkpoint_vectors *copy) {
  *copy = *live;
  for (int v = 0; v < live->count; v++) {
    copy->values[v] = storage;
    storage += floats_padded(floats);
  }
  return storage;
}

/* Memory of pl_alloc is touched at once, so that no copy waits for pages. What all ranks hold alike
 * is saved by rank 0. */
static pl_status reserve(pl_saver *s) {
  const pl_saver_setup *setup = &s->setup;
  size_t slice = (size_t)setup->slice->blocks * PL_BLOCK;
  size_t buffers = s->rank == 0 ? (size_t)pl_space_buffer_elements(setup->space) : 0;
  s->parts = pl_alloc((size_t)s->ranks, sizeof *s->parts);
  s->reports = pl_alloc((size_t)s->ranks, sizeof *s->reports);
  s->storage = pl_alloc(floats_padded(slice) * (size_t)setup->vectors.count +
                            floats_padded(buffers) * (size_t)setup->replicated.count,
                        sizeof *s->storage);
  if (!s->parts || !s->reports || !s->storage) return PL_E_INTERNAL;
  float *rest = lay_out(&setup->vectors, slice, s->storage, &s->vectors);
  lay_out(&setup->replicated, buffers, rest, &s->replicated);
  return PL_OK;
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
  pl_free(s->storage);
  pl_free(s->reports);
  pl_free(s->parts);
  pl_free(s->shards);
  pl_free(s->texts);
  pl_free(s);
  *saver = NULL;
}

/* ---- a save ---- */

static size_t text_bytes(const pl_checkpoint_manifest *about) {
  size_t bytes = strlen(about->dataset) + strlen(about->metric) + strlen(about->config_yaml) +
                 strlen(about->build) + 4;
  for (int k = 0; k < about->shards; k++) bytes += strlen(about->shard[k].name) + 1;
  return bytes;
}

/* Copies a text to *end, moves *end behind it, and returns the copy. */
static const char *put_text(char **end, const char *text) {
  char *copy = *end;
  size_t bytes = strlen(text) + 1;
  *end = (char *)memcpy(copy, text, bytes) + bytes;
  return copy;
}

/* The commit comes when the caller's texts are long gone. */
static pl_status copy_about(pl_saver *s, const pl_checkpoint_manifest *about) {
  pl_free(s->texts);
  pl_free(s->shards);
  char *end = s->texts = pl_alloc(text_bytes(about), 1);
  s->shards = pl_alloc((size_t)about->shards, sizeof *s->shards);
  if (!s->texts || !s->shards) return PL_E_INTERNAL;
  s->about = *about;
  s->about.dataset = put_text(&end, about->dataset);
  s->about.metric = put_text(&end, about->metric);
  s->about.config_yaml = put_text(&end, about->config_yaml);
  s->about.build = put_text(&end, about->build);
  for (int k = 0; k < about->shards; k++) {
    s->shards[k] = about->shard[k];
    s->shards[k].name = put_text(&end, about->shard[k].name);
  }
  s->about.shard = s->shards;
  s->about.parts = s->ranks;
  s->about.part = s->parts;
  return PL_OK;
}

/* One run of floats for each thread: long ones keep memory busiest. */
static void copy_vectors(const pl_checkpoint_vectors *from, const pl_checkpoint_vectors *to,
                         size_t floats) {
  size_t team = (size_t)pl_threads_count();
  for (int v = 0; v < from->count; v++) {
    const float *source = from->values[v];
    float *target = to->values[v];
#pragma omp parallel for schedule(static)
    for (size_t k = 0; k < team; k++) {
      size_t first = floats * k / team, end = floats * (k + 1) / team;
      memcpy(target + first, source + first, (end - first) * sizeof *target);
    }
  }
}

static void copy_state(pl_saver *s) {
  const pl_saver_setup *setup = &s->setup;
  copy_vectors(&setup->vectors, &s->vectors, (size_t)setup->slice->blocks * PL_BLOCK);
  if (s->rank != 0) return;
  copy_vectors(&setup->replicated, &s->replicated, (size_t)pl_space_buffer_elements(setup->space));
}

pl_status pl_saver_start(pl_saver *s, const pl_checkpoint_manifest *about) {
  double start = pl_now_ms();
  PL_TRY(pl_saver_finish(s));
  double finished = pl_now_ms();
  pl_status status = s->rank == 0 ? copy_about(s, about) : PL_OK;
  s->about.step = about->step;
  if (status == PL_OK) {
    copy_state(s);
  } else {
    s->reason = *pl_last_reason();
  }
  s->saves++;
  s->saving = true;
  set_phase(s, status == PL_OK ? PL_SAVE_WRITING : PL_SAVE_FAILED);
  double end = pl_now_ms();
  s->copy_ms = end - finished;
  s->stall_ms = end - start;
  return PL_OK;
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
  set_phase(s, s->rank == 0 ? PL_SAVE_COMMITTING : PL_SAVE_IDLE);
}

static void complete(pl_saver *s, const pl_save_report *root) {
  s->saving = false;
  s->best = root->best;
  s->outcome = (pl_save_outcome){.step = s->about.step,
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
