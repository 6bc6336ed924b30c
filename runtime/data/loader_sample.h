/* Making one sample of a leaf: reading, replacing what is corrupt, augmenting, tokenising. Inside
 * runtime/data only. */
#ifndef PL_DATA_LOADER_SAMPLE_H
#define PL_DATA_LOADER_SAMPLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/base/account.h"
#include "runtime/data/loader.h"

/* The different corrupt samples met, in the order in which they were; shared by all workers. */
typedef struct pl_corrupt {
  int64_t limit;
  pthread_mutex_t lock;
  int64_t *sample;
  int64_t capacity;
  _Atomic int64_t count; /* changes with the lock held; readable without it */
} pl_corrupt;

void pl_corrupt_init(pl_corrupt *corrupt, int64_t limit);
void pl_corrupt_fini(pl_corrupt *corrupt);

/* Own to each worker; all zero at the start, when they grow with what comes. */
typedef struct pl_loader_tools {
  pl_image image;
  pl_augment_scratch augment;
  char *text;
  size_t text_capacity;
  pl_tokenizer_scratch tokenizer;
  pl_account_entry decoder; /* for what the decoder takes by itself */
} pl_loader_tools;

/* Makes room for the images of the dataset, so that it is had, and planned, before a run begins. */
pl_status pl_loader_tools_reserve(const pl_loader_options *options, const pl_image_extent *largest,
                                  pl_loader_tools *tools);
void pl_loader_tools_free(pl_loader_tools *tools);

/* Room for what a leaf holds. */
typedef struct pl_loader_room {
  void *views;          /* in one of the two forms below */
  _Atomic size_t taken; /* packed: bytes of sources so far */
  int32_t *tokens;      /* (leaf_samples, context); NULL without a tokenizer */
} pl_loader_room;

/* One row of a leaf: what the order says, and what is served. */
typedef struct pl_loader_row {
  int index;     /* in the leaf */
  int64_t drawn; /* sample; what is random is keyed by it also where another one stands in */
  int64_t epoch;
  int caption;    /* which of its captions; -1: to be drawn */
  int64_t sample; /* out: what is served: drawn, or what stands in for it */
} pl_loader_row;

/* The form in which a leaf's views are handed on. */
typedef struct pl_loader_form {
  size_t (*bytes)(const pl_loader_options *options); /* of a leaf, at most */
  /* The views of a row, of the image in `tools`. */
  pl_status (*make)(const pl_loader_options *options, pl_loader_tools *tools,
                    const pl_loader_row *row, pl_loader_room *room);
} pl_loader_form;

extern const pl_loader_form pl_loader_finished, pl_loader_packed;

/* The packed leaf that lies in a room. */
pl_packed_leaf pl_loader_packed_leaf(const pl_loader_options *options, const pl_loader_room *room);

/* Parameters of view `view` of a row: drawn, or those of the evaluation view. */
void pl_loader_view_params(const pl_loader_options *options, const pl_loader_row *row, int view,
                           const pl_image *image, pl_view_params *params);

/* Reads, and makes views and tokens. The same whichever thread makes it. Safe from several threads
 * with different rows and tools. */
pl_status pl_loader_make_row(const pl_loader_options *options, const pl_loader_form *form,
                             pl_corrupt *corrupt, pl_loader_tools *tools, pl_loader_row *row,
                             pl_loader_room *room);

#endif
