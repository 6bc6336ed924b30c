#include "runtime/base/account.h"

#include <pthread.h>
#include <string.h>

struct pl_account {
  pl_memory_figures figures;
  size_t total[PL_MEMORY_PLACES], highest[PL_MEMORY_PLACES];
};

/* Threads of loaders and savers count beside the one that trains. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pl_account real, planned;
static bool plan_is_taken;
static _Thread_local bool planning;
static _Thread_local pl_memory_kind kind_of_thread = PL_MEMORY_PROGRAM;
static _Thread_local pl_refusal refused;

const char *pl_memory_kind_name(pl_memory_kind kind) {
  switch (kind) {
    case PL_MEMORY_PROGRAM: return "program";
    case PL_MEMORY_MASTER: return "master";
    case PL_MEMORY_AVERAGE: return "average";
    case PL_MEMORY_IMAGE: return "image";
    case PL_MEMORY_MOMENTS: return "moments";
    case PL_MEMORY_GRADIENT_SUMS: return "gradient_sums";
    case PL_MEMORY_GRADIENT_EXCHANGE: return "gradient_exchange";
    case PL_MEMORY_KEPT: return "activations";
    case PL_MEMORY_SCRATCH: return "scratch";
    case PL_MEMORY_KERNELS: return "kernels";
    case PL_MEMORY_EMBEDDINGS: return "embeddings";
    case PL_MEMORY_LOSS: return "loss";
    case PL_MEMORY_BUFFERS: return "buffers";
    case PL_MEMORY_DATA: return "data";
    case PL_MEMORY_CHECKPOINT: return "checkpoint";
    case PL_MEMORY_JUDGING: return "judging";
    case PL_MEMORY_KINDS: break;
  }
  return "unknown";
}

size_t pl_memory_total(const size_t bytes[PL_MEMORY_KINDS]) {
  size_t total = 0;
  for (int kind = 0; kind < PL_MEMORY_KINDS; kind++) total += bytes[kind];
  return total;
}

pl_memory_kind pl_memory_name(pl_memory_kind kind) {
  pl_memory_kind before = kind_of_thread;
  if (before == PL_MEMORY_PROGRAM) kind_of_thread = kind;
  return before;
}

void pl_memory_restore(const pl_memory_kind *before) { kind_of_thread = *before; }

void pl_account_read(pl_memory_figures *out) {
  pthread_mutex_lock(&lock);
  *out = real.figures;
  pthread_mutex_unlock(&lock);
}

pl_status pl_account_plan_begin(void) {
  pthread_mutex_lock(&lock);
  bool taken = plan_is_taken;
  plan_is_taken = true;
  pthread_mutex_unlock(&lock);
  if (taken) return PL_FAIL(PL_E_INTERNAL, "memory is being planned already");
  planned = (pl_account){0};
  planning = true;
  return PL_OK;
}

void pl_account_plan_end(pl_memory_figures *figures) {
  pthread_mutex_lock(&lock);
  *figures = planned.figures;
  plan_is_taken = planning = false;
  pthread_mutex_unlock(&lock);
}

bool pl_account_is_planning(void) { return planning; }

pl_account_entry pl_account_take(pl_memory_place place, size_t bytes) {
  pl_account *account = planning ? &planned : &real;
  pl_memory_figures *f = &account->figures;
  pthread_mutex_lock(&lock);
  f->now[place][kind_of_thread] += bytes;
  account->total[place] += bytes;
  if (account->total[place] > account->highest[place]) {
    account->highest[place] = account->total[place];
    memcpy(f->peak[place], f->now[place], sizeof f->peak[place]);
  }
  pthread_mutex_unlock(&lock);
  return (pl_account_entry){
      .account = account, .place = place, .kind = kind_of_thread, .bytes = bytes};
}

void pl_account_give_back(const pl_account_entry *entry) {
  pthread_mutex_lock(&lock);
  entry->account->figures.now[entry->place][entry->kind] -= entry->bytes;
  entry->account->total[entry->place] -= entry->bytes;
  pthread_mutex_unlock(&lock);
}

void pl_account_refuse(pl_memory_place place, size_t bytes) {
  refused = (pl_refusal){.bytes = bytes, .place = place, .kind = kind_of_thread};
}

pl_refusal pl_account_refusal(void) { return refused; }

void pl_account_forget_refusal(void) { refused = (pl_refusal){0}; }
