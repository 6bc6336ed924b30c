#include "runtime/data/loader.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "runtime/base/account.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/data/loader_sample.h"
#include "runtime/data/order.h"

/* SPAN: samples that a worker takes at a time; enough to make the lock cheap, few enough that all
 * workers help with the leaf that is wanted next. SLOTS_MIN: one leaf in use, one ready, one being
 * made. */
enum { SPAN = 4, SLOTS_MIN = 3, WORKERS_MAX = 1024, VIEWS_MAX = 64, CONTEXT_MAX = 1 << 16 };
static const size_t ahead_bytes = (size_t)512 << 20;
/* Who makes the pixels twice does so lest memory grow with the batch: leaves read ahead must not
 * either. */
enum { AHEAD_SAMPLES = 1024 };

/* Room for one leaf. Leaf number k of the sequence goes to slot k % slot_count. */
typedef struct slot {
  pl_loader_room room;
  int64_t *drawn;  /* what the order says; what is random is keyed by it */
  int64_t *sample; /* what is served: drawn, or what stands in for it */
  int64_t *epoch;
  int *caption; /* which caption of the sample; -1: the worker finds out */
  int done;     /* samples that are complete */
} slot;

struct pl_loader {
  pl_loader_options options;
  const pl_loader_form *form;
  const pl_device *memory; /* of views */
  int64_t total;           /* leaves in the sequence */
  slot *slots;
  int64_t slot_count;
  struct worker *workers; /* (options.workers) */
  int started;
  double wait_ms;         /* of the caller's thread */
  pl_ledger_line *ledger; /* (shards); of the caller's thread */
  pl_corrupt corrupt;

  /* All below is guarded by the lock. */
  pthread_mutex_t lock;
  pthread_cond_t work;  /* there may be something for workers to do, or they shall end */
  pthread_cond_t ready; /* a leaf is complete, or a worker failed */
  pl_order *order;
  int64_t served;      /* leaves handed to the caller */
  int64_t given_back;  /* of these, leaves whose slots may be used again */
  int64_t planned;     /* leaf whose samples are being handed to workers */
  int planned_samples; /* of that leaf, samples handed out */
  bool stop;
  pl_reason failure; /* code PL_OK: none */
};

/* A thread and what it works with. */
typedef struct worker {
  pl_loader *loader;
  pl_loader_tools tools;
  pthread_t thread;
} worker;

/* What a worker has in hand: samples [first, first + count) of the leaf in `slot`. */
typedef struct span {
  slot *slot;
  int first, count;
} span;

/* The step and the leaf of the batch that leaf number k of the sequence is. */
static void locate(const pl_loader *loader, int64_t k, int64_t *step, int64_t *leaf) {
  const pl_loader_options *o = &loader->options;
  *step = o->first_step + k / (o->leaves * o->passes);
  *leaf = o->first_leaf + k % o->leaves;
}

/* Needs the lock. The first failure counts; its reason is the calling thread's. */
static void fail_loader(pl_loader *loader) {
  if (loader->failure.code == PL_OK) loader->failure = *pl_last_reason();
  pthread_cond_broadcast(&loader->ready);
  pthread_cond_broadcast(&loader->work);
}

/* Needs the lock. Finds the samples of the leaf to be made next. */
static pl_status plan_leaf(pl_loader *loader) {
  const pl_loader_options *o = &loader->options;
  slot *s = &loader->slots[loader->planned % loader->slot_count];
  int64_t step = 0, leaf = 0;
  locate(loader, loader->planned, &step, &leaf);
  int64_t position = step * o->batch + leaf * o->leaf_samples;
  for (int i = 0; i < o->leaf_samples; i++) {
    PL_TRY(pl_order_at(loader->order, position + i, &s->drawn[i], &s->epoch[i]));
    s->caption[i] = -1;
    if (!o->all_captions) continue;
    pl_dataset_locate_caption(o->dataset, s->drawn[i], &s->drawn[i], &s->caption[i]);
  }
  return PL_OK;
}

/* Needs the lock. Waits for work; false when there is none any more. */
static bool take_span(pl_loader *loader, span *taken) {
  while (!loader->stop && loader->failure.code == PL_OK && loader->planned < loader->total &&
         loader->planned >= loader->given_back + loader->slot_count) {
    pthread_cond_wait(&loader->work, &loader->lock);
  }
  if (loader->stop || loader->failure.code != PL_OK || loader->planned == loader->total) {
    return false;
  }
  if (loader->planned_samples == 0 && plan_leaf(loader) != PL_OK) {
    fail_loader(loader);
    return false;
  }
  int left = loader->options.leaf_samples - loader->planned_samples;
  *taken = (span){.slot = &loader->slots[loader->planned % loader->slot_count],
                  .first = loader->planned_samples,
                  .count = left < SPAN ? left : SPAN};
  loader->planned_samples += taken->count;
  if (taken->count == left) {
    loader->planned++;
    loader->planned_samples = 0;
  }
  return true;
}

/* Sample i of the leaf in a slot. */
static pl_status make_sample(pl_loader *loader, slot *s, int i, pl_loader_tools *tools) {
  pl_loader_row row = {
      .index = i, .drawn = s->drawn[i], .epoch = s->epoch[i], .caption = s->caption[i]};
  PL_TRY(
      pl_loader_make_row(&loader->options, loader->form, &loader->corrupt, tools, &row, &s->room));
  s->sample[i] = row.sample;
  return PL_OK;
}

static void *work(void *argument) {
  PL_MEMORY_FOR(PL_MEMORY_DATA);
  worker *me = argument;
  pl_loader *loader = me->loader;
  span taken = {0};
  pthread_mutex_lock(&loader->lock);
  while (take_span(loader, &taken)) {
    pthread_mutex_unlock(&loader->lock);
    pl_status status = PL_OK;
    for (int i = 0; i < taken.count && status == PL_OK; i++) {
      status = make_sample(loader, taken.slot, taken.first + i, &me->tools);
    }
    pthread_mutex_lock(&loader->lock);
    if (status != PL_OK) {
      fail_loader(loader);
      break;
    }
    taken.slot->done += taken.count;
    if (taken.slot->done == loader->options.leaf_samples) pthread_cond_signal(&loader->ready);
  }
  pthread_mutex_unlock(&loader->lock);
  return NULL;
}

static pl_status check_count(const char *name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "loader: %s is %" PRId64 "; it must lie in [%" PRId64 ", %" PRId64 "]",
                 name, value, low, high);
}

static pl_status check_texts(const pl_loader_options *o) {
  if (!o->tokenizer) {
    if (!o->all_captions) return PL_OK;
    return PL_FAIL(PL_E_USAGE, "loader: captions need a tokenizer");
  }
  PL_TRY(check_count("number of tokens", o->context, 2, CONTEXT_MAX));
  if (o->all_captions && (o->random || o->shuffle || o->skip_limit > 0)) {
    return PL_FAIL(PL_E_USAGE, "loader: all captions come in stored order, and none is replaced");
  }
  return pl_dataset_check_captioned(o->dataset);
}

static pl_status check_options(const pl_loader_options *o) {
  if (!o->all_captions) {
    PL_TRY(pl_augment_check(&o->augment));
    PL_TRY(check_count("number of views", o->views, 1, VIEWS_MAX));
  }
  PL_TRY(check_count("number of workers", o->workers, 1, WORKERS_MAX));
  PL_TRY(check_count("number of passes", o->passes, 1, 2));
  PL_TRY(check_count("batch", o->batch, 1, INT32_MAX));
  PL_TRY(check_count("samples of a leaf", o->leaf_samples, 1, o->batch));
  PL_TRY(check_count("number of leaves", o->leaves, 1, o->batch / o->leaf_samples));
  PL_TRY(check_count("first leaf", o->first_leaf, 0, o->batch / o->leaf_samples - o->leaves));
  PL_TRY(check_count("first step", o->first_step, 0, INT32_MAX));
  PL_TRY(check_count("number of steps", o->steps, 0, INT32_MAX));
  PL_TRY(check_count("limit of corrupt samples", o->skip_limit, 0, INT64_MAX));
  return check_texts(o);
}

/* With one pass two steps' leaves, so that workers go on while the caller is busy with a whole step
 * and takes none. */
static int64_t slots_wanted(const pl_loader_options *o, size_t slot_bytes) {
  int64_t wanted = 2 * o->leaves, fitting = (int64_t)(ahead_bytes / slot_bytes);
  int64_t ahead = (AHEAD_SAMPLES - 1) / o->leaf_samples + 1;
  if (o->passes > 1 && wanted > ahead) wanted = ahead;
  if (wanted > fitting) wanted = fitting;
  return wanted < SLOTS_MIN ? SLOTS_MIN : wanted;
}

static const pl_loader_form *form_of(const pl_loader_options *o) {
  return o->packed_for ? &pl_loader_packed : &pl_loader_finished;
}

static size_t view_bytes(const pl_loader_options *o) {
  return o->all_captions ? 0 : form_of(o)->bytes(o);
}

static size_t token_count(const pl_loader_options *o) {
  return o->tokenizer ? (size_t)o->context * (size_t)o->leaf_samples : 0;
}

static size_t slot_bytes(const pl_loader_options *o) {
  return sizeof(slot) + view_bytes(o) + token_count(o) * sizeof(int32_t);
}

size_t pl_loader_packed_bytes(const pl_loader_options *options) {
  return pl_loader_packed.bytes(options);
}

static pl_status create_slots(pl_loader *loader) {
  const pl_loader_options *o = &loader->options;
  const size_t samples = (size_t)o->leaf_samples;
  loader->form = form_of(o);
  loader->memory = o->packed_for ? o->packed_for : &pl_host_device;
  loader->slot_count = slots_wanted(o, slot_bytes(o));
  loader->slots = pl_alloc((size_t)loader->slot_count, sizeof *loader->slots);
  if (!loader->slots) return PL_E_INTERNAL;
  for (int64_t k = 0; k < loader->slot_count; k++) {
    slot *s = &loader->slots[k];
    PL_TRY(loader->memory->alloc_host(view_bytes(o), &s->room.views));
    s->room.tokens = pl_alloc(token_count(o), sizeof *s->room.tokens);
    s->drawn = pl_alloc(samples, sizeof *s->drawn);
    s->sample = pl_alloc(samples, sizeof *s->sample);
    s->epoch = pl_alloc(samples, sizeof *s->epoch);
    s->caption = pl_alloc(samples, sizeof *s->caption);
    if (!s->room.tokens || !s->drawn) return PL_E_INTERNAL;
    if (!s->sample || !s->epoch || !s->caption) return PL_E_INTERNAL;
  }
  return PL_OK;
}

static void free_slots(pl_loader *loader) {
  for (int64_t k = 0; loader->slots && k < loader->slot_count; k++) {
    slot *s = &loader->slots[k];
    loader->memory->release_host(s->room.views);
    pl_free(s->room.tokens);
    pl_free(s->drawn);
    pl_free(s->sample);
    pl_free(s->epoch);
    pl_free(s->caption);
  }
  pl_free(loader->slots);
}

static pl_status create_workers(pl_loader *loader) {
  const pl_loader_options *o = &loader->options;
  pl_image_extent largest = {0};
  loader->workers = pl_alloc((size_t)o->workers, sizeof *loader->workers);
  if (!loader->workers) return PL_E_INTERNAL;
  if (!o->all_captions) PL_TRY(pl_dataset_largest_image(o->dataset, &largest));
  for (int i = 0; i < o->workers; i++) {
    loader->workers[i].loader = loader;
    PL_TRY(pl_loader_tools_reserve(o, &largest, &loader->workers[i].tools));
  }
  return PL_OK;
}

static void free_workers(pl_loader *loader) {
  for (int i = 0; loader->workers && i < loader->options.workers; i++)
    pl_loader_tools_free(&loader->workers[i].tools);
  pl_free(loader->workers);
}

static pl_status start_threads(pl_loader *loader) {
  /* Signals are for the thread that runs the loop. */
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = 0;
  while (loader->started < loader->options.workers && error == 0) {
    worker *next = &loader->workers[loader->started];
    error = pthread_create(&next->thread, NULL, work, next);
    if (error == 0) loader->started++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (error == 0) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "can't start loader thread %d of %d: %s", loader->started + 1,
                 loader->options.workers, strerrordesc_np(error));
}

pl_status pl_loader_create(const pl_loader_options *options, pl_loader **out) {
  PL_MEMORY_FOR(PL_MEMORY_DATA);
  PL_TRY(check_options(options));
  pl_loader *loader = pl_alloc(1, sizeof *loader);
  if (!loader) return PL_E_INTERNAL;
  pthread_mutex_init(&loader->lock, NULL);
  pthread_cond_init(&loader->work, NULL);
  pthread_cond_init(&loader->ready, NULL);
  loader->options = *options;
  pl_corrupt_init(&loader->corrupt, options->skip_limit);
  const pl_dataset_info *info = pl_dataset_get_info(options->dataset);
  const int64_t items = options->all_captions ? info->captions : info->samples;
  loader->total = options->steps * options->passes * options->leaves;

  pl_status status = PL_OK;
  PL_TRY_OR(fail, status,
            pl_order_create(items, options->shuffle_block, options->shuffle_window, options->seed,
                            options->shuffle, &loader->order));
  loader->ledger = pl_alloc((size_t)info->shards, sizeof *loader->ledger);
  PL_TRY_OR(fail, status, loader->ledger ? PL_OK : PL_E_INTERNAL);
  PL_TRY_OR(fail, status, create_slots(loader));
  PL_TRY_OR(fail, status, create_workers(loader));
  PL_TRY_OR(fail, status, start_threads(loader));
  *out = loader;
  return PL_OK;
fail:
  pl_loader_destroy(&loader);
  return status;
}

void pl_loader_destroy(pl_loader **loader) {
  pl_loader *l = *loader;
  if (!l) return;
  pthread_mutex_lock(&l->lock);
  l->stop = true;
  pthread_cond_broadcast(&l->work);
  pthread_mutex_unlock(&l->lock);
  for (int i = 0; i < l->started; i++) pthread_join(l->workers[i].thread, NULL);
  free_workers(l);
  free_slots(l);
  pl_free(l->ledger);
  pl_corrupt_fini(&l->corrupt);
  pl_order_destroy(&l->order);
  pthread_cond_destroy(&l->ready);
  pthread_cond_destroy(&l->work);
  pthread_mutex_destroy(&l->lock);
  pl_free(l);
  *loader = NULL;
}

/* Needs the lock. The slot of the leaf that the caller had may be filled again. */
static void give_back(pl_loader *loader) {
  if (loader->given_back == loader->served) return;
  slot *s = &loader->slots[loader->given_back % loader->slot_count];
  s->done = 0;
  s->room.taken = 0;
  loader->given_back = loader->served;
  pthread_cond_broadcast(&loader->work);
}

/* The next leaf to be served, whose samples are all there. */
static pl_loader_leaf describe_next(const pl_loader *loader) {
  const pl_loader_options *o = &loader->options;
  const slot *s = &loader->slots[loader->served % loader->slot_count];
  pl_loader_leaf leaf = {
      .tokens = o->tokenizer ? s->room.tokens : NULL, .sample = s->sample, .epoch = s->epoch};
  if (!o->all_captions && o->packed_for) leaf.packed = pl_loader_packed_leaf(o, &s->room);
  if (!o->all_captions && !o->packed_for) leaf.images = s->room.views;
  locate(loader, loader->served, &leaf.step, &leaf.leaf);
  return leaf;
}

/* Enters leaf number k of the sequence in the ledger, which counts the first pass only. */
static void enter_leaf(pl_loader *loader, int64_t k, const slot *s) {
  const pl_loader_options *o = &loader->options;
  if (k / o->leaves % o->passes != 0) return;
  for (int i = 0; i < o->leaf_samples; i++) {
    int drawn_shard = 0, served_shard = 0;
    int64_t position = 0;
    pl_dataset_locate(o->dataset, s->drawn[i], &drawn_shard, &position);
    if (s->sample[i] == s->drawn[i]) {
      loader->ledger[drawn_shard].seen++;
      continue;
    }
    pl_dataset_locate(o->dataset, s->sample[i], &served_shard, &position);
    loader->ledger[drawn_shard].skipped++;
    loader->ledger[served_shard].repeated++;
  }
}

pl_status pl_loader_next(pl_loader *loader, pl_loader_leaf *leaf) {
  if (loader->served == loader->total) {
    return PL_FAIL(PL_E_INTERNAL,
                   "loader: asked for more than the %" PRId64 " leaves of %" PRId64 " steps",
                   loader->total, loader->options.steps);
  }
  pthread_mutex_lock(&loader->lock);
  give_back(loader);
  const slot *s = &loader->slots[loader->served % loader->slot_count];
  if (s->done < loader->options.leaf_samples && loader->failure.code == PL_OK) {
    double start = pl_now_ms();
    while (s->done < loader->options.leaf_samples && loader->failure.code == PL_OK) {
      pthread_cond_wait(&loader->ready, &loader->lock);
    }
    loader->wait_ms += pl_now_ms() - start;
  }
  pl_status status = PL_OK;
  if (loader->failure.code != PL_OK) {
    status = pl_adopt_reason(&loader->failure);
  } else {
    *leaf = describe_next(loader);
    loader->served++;
  }
  pthread_mutex_unlock(&loader->lock);
  /* The slot is the caller's until the next call. */
  if (status == PL_OK) enter_leaf(loader, loader->served - 1, s);
  return status;
}

bool pl_loader_peek(pl_loader *loader, pl_loader_leaf *leaf) {
  if (loader->served == loader->total) return false;
  pthread_mutex_lock(&loader->lock);
  const slot *s = &loader->slots[loader->served % loader->slot_count];
  bool ready = s->done == loader->options.leaf_samples && loader->failure.code == PL_OK;
  if (ready) *leaf = describe_next(loader);
  pthread_mutex_unlock(&loader->lock);
  return ready;
}

const pl_ledger_line *pl_loader_ledger(const pl_loader *loader) { return loader->ledger; }

double pl_loader_wait_ms(const pl_loader *loader) { return loader->wait_ms; }

int64_t pl_loader_skipped(const pl_loader *loader) {
  return atomic_load_explicit(&loader->corrupt.count, memory_order_relaxed);
}
