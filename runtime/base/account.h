/* What memory is used for: every block of pl_alloc, and every one of a device, is counted under the
 * kind that its thread had named. Set-up code names kinds; all else counts as the program's.
 *
 * A thread can also plan: from pl_account_plan_begin to its end the blocks it asks for are counted
 * in an account of their own and hold no memory until they are written to. Set-up code that runs
 * meanwhile tells to the byte what it would take, on machines where that could not be had. */
#ifndef PL_BASE_ACCOUNT_H
#define PL_BASE_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/status.h"

typedef enum pl_memory_place { PL_ON_HOST, PL_ON_DEVICE, PL_MEMORY_PLACES } pl_memory_place;

typedef enum pl_memory_kind {
  PL_MEMORY_PROGRAM, /* nothing in particular */
  PL_MEMORY_MASTER,
  PL_MEMORY_AVERAGE,
  PL_MEMORY_IMAGE, /* the parameters as kernels read them */
  PL_MEMORY_MOMENTS,
  PL_MEMORY_GRADIENT_SUMS,
  PL_MEMORY_GRADIENT_EXCHANGE,
  PL_MEMORY_KEPT,    /* activations from forward to backward, of all local leaves */
  PL_MEMORY_SCRATCH, /* what leaves share, one after another */
  PL_MEMORY_KERNELS, /* what kernels hold for themselves */
  PL_MEMORY_EMBEDDINGS,
  PL_MEMORY_LOSS,
  PL_MEMORY_BUFFERS, /* running statistics */
  PL_MEMORY_DATA,
  PL_MEMORY_CHECKPOINT,
  PL_MEMORY_JUDGING,
  PL_MEMORY_KINDS
} pl_memory_kind;

/* "master", "gradient_sums" …: as metrics.jsonl names them. Static string. */
const char *pl_memory_kind_name(pl_memory_kind kind);

/* Bytes by place and kind: at the time of asking, and when there were most of all kinds together.
 */
typedef struct pl_memory_figures {
  size_t now[PL_MEMORY_PLACES][PL_MEMORY_KINDS];
  size_t peak[PL_MEMORY_PLACES][PL_MEMORY_KINDS];
} pl_memory_figures;

size_t pl_memory_total(const size_t bytes[PL_MEMORY_KINDS]);

/* ---- naming kinds ---- */

/* From here to the end of the block this thread's memory is of that kind, unless it has one
 * already: what is made inside of judging is judging's, whatever it is made of. */
#define PL_MEMORY_FOR(kind)                                                              \
  __attribute__((cleanup(pl_memory_restore), unused)) pl_memory_kind pl_memory_before_ = \
      pl_memory_name(kind)

/* Behind the macro: names the kind and returns the one before; restores that. */
pl_memory_kind pl_memory_name(pl_memory_kind kind);
void pl_memory_restore(const pl_memory_kind *before);

/* ---- reading ---- */

/* Of the whole process, without what is planned. */
void pl_account_read(pl_memory_figures *out);

/* The last block that could not be had, since the start or pl_account_forget_refusal. */
typedef struct pl_refusal {
  size_t bytes; /* 0: there was none */
  pl_memory_place place;
  pl_memory_kind kind;
} pl_refusal;

pl_refusal pl_account_refusal(void);
void pl_account_forget_refusal(void);

/* ---- planning ---- */

/* One thread at a time: PL_E_INTERNAL where one plans already. */
pl_status pl_account_plan_begin(void);
/* *figures: what was asked for meanwhile; all that was planned must have been freed. */
void pl_account_plan_end(pl_memory_figures *figures);
bool pl_account_is_planning(void); /* this thread */

/* ---- for those that hand memory out ---- */

typedef struct pl_account pl_account;

/* Under which account and kind a block was counted. */
typedef struct pl_account_entry {
  pl_account *account;
  pl_memory_place place;
  pl_memory_kind kind;
  size_t bytes;
} pl_account_entry;

/* Counts a block under this thread's kind. */
pl_account_entry pl_account_take(pl_memory_place place, size_t bytes);
void pl_account_give_back(const pl_account_entry *entry);
void pl_account_refuse(pl_memory_place place, size_t bytes);

#endif
