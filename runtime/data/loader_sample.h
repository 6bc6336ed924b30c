/* Making one sample of a leaf: reading, replacing what is corrupt, augmenting, tokenising. Inside
 * runtime/data only. */
#ifndef PL_DATA_LOADER_SAMPLE_H
#define PL_DATA_LOADER_SAMPLE_H

#include <pthread.h>
#include <stdatomic.h>

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

/* Own to each worker; all zero at the start. */
typedef struct pl_loader_tools {
  pl_image image;
  pl_augment_scratch augment;
  char *text;
  size_t text_capacity;
  pl_tokenizer_scratch tokenizer;
} pl_loader_tools;

void pl_loader_tools_free(pl_loader_tools *tools);

/* One row of a leaf: what the order says, and where what is made of it goes. */
typedef struct pl_loader_row {
  int64_t drawn; /* sample; what is random is keyed by it also where another one stands in */
  int64_t epoch;
  int caption;        /* which of its captions; -1: to be drawn */
  float *images;      /* view v is at v * view_stride */
  size_t view_stride; /* in floats */
  int32_t *tokens;    /* (context); NULL without a tokenizer */
  int64_t sample;     /* out: what is served: drawn, or what stands in for it */
} pl_loader_row;

/* Floats of one view of one sample; 0 where the options ask for no images. */
static inline size_t pl_loader_view_floats(const pl_loader_options *options) {
  const size_t side = options->all_captions ? 0 : (size_t)options->augment.size;
  return side * side * 3;
}

/* The same whichever thread makes it. Safe from several threads with different rows and tools. */
pl_status pl_loader_make_row(const pl_loader_options *options, pl_corrupt *corrupt,
                             pl_loader_tools *tools, pl_loader_row *row);

#endif
