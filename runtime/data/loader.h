/* The loader: threads of their own read, decode and augment leaves ahead of the compute; or pack
 * what a device then makes the views of.
 *
 * It serves a fixed sequence: step by step this rank's leaves [first_leaf, first_leaf + leaves) of
 * the batch, `passes` times over in each step (2 with recomputed activations: the pixels come out
 * the same). Sample i of leaf l of step t is stream position t * batch + l * leaf_samples + i. View
 * v of a sample draws from the stream keyed by (seed, epoch, sample, v).
 *
 * With a tokenizer each sample comes with the tokens of one of its captions: one drawn anew in each
 * epoch by the stream keyed by (seed, PL_RANDOM_CAPTION, epoch, sample), the first in evaluation.
 *
 * A sample whose image or whose drawn caption is corrupt is named in the log, counted, and replaced
 * by the sample one place on in stored order (so batches keep their size), image and caption
 * together; past `skip_limit` of them the loader fails with PL_E_DATA. The replacement is augmented
 * with the numbers of the sample it stands for, so that a batch that holds both does not hold the
 * same pixels twice. What can't be read at all (PL_E_IO) ends the loader. */
#ifndef PL_DATA_LOADER_H
#define PL_DATA_LOADER_H

#include "runtime/data/augment.h"
#include "runtime/data/dataset.h"
#include "runtime/data/packed.h"
#include "runtime/data/tokenizer.h"
#include "runtime/tensor/device.h"

typedef struct pl_loader pl_loader;

typedef struct pl_loader_options {
  const pl_dataset *dataset;     /* outlives the loader */
  const pl_tokenizer *tokenizer; /* NULL: no tokens; outlives the loader */
  int context;                   /* tokens of a caption, padding included */
  /* For evaluation: the stream is made of all captions of the dataset in stored order instead of
   * its samples, so that `batch` counts captions, and leaves have no images. Needs a tokenizer,
   * neither random nor shuffle, and a skip_limit of 0. */
  bool all_captions;
  pl_augment_options augment; /* unused with all_captions, as are the views */
  bool random;                /* false: evaluation views, every view the same */
  /* Not NULL: leaves come packed (packed.h) in memory that this device copies from, with what the
   * views are made of and their parameters; else views come finished. */
  const pl_device *packed_for;
  bool shuffle;
  int64_t shuffle_block, shuffle_window; /* in samples; in blocks */
  uint64_t seed;
  int views;
  int leaf_samples;
  int64_t batch; /* samples of the global batch */
  int64_t first_leaf, leaves;
  int passes;
  int64_t first_step, steps; /* steps served: [first_step, first_step + steps) */
  int workers;               /* threads */
  int64_t skip_limit;        /* different corrupt samples that this loader may meet */
} pl_loader_options;

/* A leaf ready for use; valid until the next pl_loader_next. */
typedef struct pl_loader_leaf {
  int64_t step, leaf;
  /* (views, leaf_samples, size, size, 3): first views, then second ones; NULL where they come
   * packed, and with all_captions */
  const float *images;
  pl_packed_leaf packed; /* all zero unless views come packed */
  const int32_t *tokens; /* (leaf_samples, context); NULL without a tokenizer */
  const int64_t *sample; /* (leaf_samples): indices in the dataset, after replacement */
  const int64_t *epoch;  /* (leaf_samples) */
} pl_loader_leaf;

/* Starts the threads. Memory for leaves: at most two steps' and about 512 MB, with two passes at
 * most 1024 samples rounded up to leaves, however large the step (but room for three leaves in any
 * case); for each worker: room for the largest image (pl_dataset_largest_image). PL_E_USAGE names
 * the option that is out of range; PL_E_DATA, with a tokenizer, the first sample without a caption.
 * Not collective. */
pl_status pl_loader_create(const pl_loader_options *options, pl_loader **out);
/* Stops and joins the threads; NULL is allowed. */
void pl_loader_destroy(pl_loader **loader);

/* The next leaf of the sequence; waits if it is not ready. Fails with the first error of a worker.
 */
pl_status pl_loader_next(pl_loader *loader, pl_loader_leaf *leaf);

/* The leaf that pl_loader_next will give next, if it is ready; false: it is not, or there is none.
 * It stays as it is until the call of pl_loader_next that follows the one that gives it. */
bool pl_loader_peek(pl_loader *loader, pl_loader_leaf *leaf);

/* Bytes of the largest packed leaf that a loader of these options can give. */
size_t pl_loader_packed_bytes(const pl_loader_options *options);

/* What became of the samples drawn from one shard; a line of the sample ledger. */
typedef struct pl_ledger_line {
  int64_t seen;     /* samples of it that were served as drawn */
  int64_t repeated; /* times that one of its samples stood in for a corrupt one */
  int64_t skipped;  /* times that a corrupt one of its samples was drawn */
} pl_ledger_line;

/* One line for each shard, of all leaves handed out so far, each sample of a step counted once
 * whatever the passes: seen + skipped over all shards is the number of samples drawn. For the
 * thread that calls pl_loader_next; valid as long as the loader. */
const pl_ledger_line *pl_loader_ledger(const pl_loader *loader);

/* Milliseconds that pl_loader_next has waited so far, and different corrupt samples met so far. */
double pl_loader_wait_ms(const pl_loader *loader);
int64_t pl_loader_skipped(const pl_loader *loader);

#endif
