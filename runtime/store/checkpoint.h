/* Checkpoints: a folder that is complete and verified, or not there.
 *
 * `step-00001200.tmp/part-NNNNN.h5`, one part per rank: closed, synced, hashed; then one process
 * writes and syncs `manifest.yaml` (format version, step, parts with size and xxHash128, the list
 * of tensors, the sample ledger, the effective configuration, the build), syncs the folder, renames
 * it to `step-00001200` and syncs the parent. A reader accepts only what the manifest verifies.
 *
 * A part holds blocks of the flat vectors ("params", "momentum" …) with their numbers, so that any
 * number of ranks can read what any other number wrote; the part of rank 0 also holds what all
 * ranks hold alike ("buffers" …). A name that ends in ".tmp" is nobody's checkpoint. */
#ifndef PL_STORE_CHECKPOINT_H
#define PL_STORE_CHECKPOINT_H

#include <stdbool.h>

#include "runtime/base/file.h"
#include "runtime/tensor/space.h"

enum { PL_CHECKPOINT_VERSION = 2, PL_CHECKPOINT_VECTORS = 8, PL_CHECKPOINT_HASH = 33 };

typedef struct pl_checkpoint_part_record {
  int64_t bytes;
  char hash[PL_CHECKPOINT_HASH]; /* xxHash128 of the file, hex */
} pl_checkpoint_part_record;

/* Named vectors: over one slice (slice->blocks * PL_BLOCK floats each), or replicated ones (the
 * space's buffer elements each). */
typedef struct pl_checkpoint_vectors {
  int count;
  const char *name[PL_CHECKPOINT_VECTORS];
  float *values[PL_CHECKPOINT_VECTORS];
} pl_checkpoint_vectors;

/* One shard's line of the sample ledger, counted over all ranks since the run's very start. */
typedef struct pl_checkpoint_shard {
  const char *name; /* "part-00003.h5" */
  int64_t seen;     /* samples of it that were trained on as drawn */
  int64_t repeated; /* times that one of its samples stood in for a corrupt one */
  int64_t skipped;  /* times that a corrupt one of its samples was drawn */
} pl_checkpoint_shard;

/* What is said of a state. Everything pointed to is the caller's. */
typedef struct pl_checkpoint_manifest {
  int64_t step, position; /* training steps done; position in the sample stream */
  int64_t passed_over;    /* steps whose loss or gradient was not finite */
  const char *dataset;    /* hash that names the dataset, 32 hex digits */
  int shards;
  const pl_checkpoint_shard *shard; /* (shards) */
  const char *metric; /* by which the best checkpoint is told: "knn" …; "" where there is none */
  double value;       /* of the metric */
  int parts;
  const pl_checkpoint_part_record *part; /* (parts) */
  const char *config_yaml;               /* effective configuration, embedded as a block of text */
  const char *build;                     /* version and build of the program */
  char state_hash[PL_CHECKPOINT_HASH];
} pl_checkpoint_manifest;

/* ---- writing ---- */

/* Path of the folder of a step inside `parent`, without or with ".tmp"; `out` has PL_PATH_MAX
 * bytes.
 */
pl_status pl_checkpoint_path(const char *parent, int64_t step, bool temporary, char *out);

/* Creates `parent` and removes what runs that ended early left in it (step-*.tmp), but gives a
 * checkpoint that was about to be replaced its name back. By one process, before any part is
 * written, and best before the checkpoints are listed. PL_E_IO. */
pl_status pl_checkpoint_clean(const char *parent);

/* Writes one rank's part into the temporary folder of a step, which the first rank to come creates,
 * syncs it and fills its record. `replicated` is NULL except on rank 0. PL_E_IO names the file,
 * which is then removed. Touches nothing but its arguments: may run on a thread of its own, where
 * no other thread uses HDF5 meanwhile. Not collective. */
pl_status pl_checkpoint_write_part(const char *parent, int64_t step, const pl_slice *slice,
                                   const pl_checkpoint_vectors *vectors,
                                   const pl_checkpoint_vectors *replicated, int64_t buffer_elements,
                                   pl_checkpoint_part_record *record);

/* Writes the manifest and makes the checkpoint visible under its final name, in place of an earlier
 * one of the same step. By one process, after all parts are written; on any thread. Of the vectors
 * only the names are used. After an error the folder is still a temporary one, which no reader
 * looks at. */
pl_status pl_checkpoint_commit(const char *parent, const pl_space *space,
                               const pl_checkpoint_vectors *vectors,
                               const pl_checkpoint_vectors *replicated,
                               const pl_checkpoint_manifest *manifest);

/* Removes all checkpoints in `parent` but the `keep` newest ones and that of step `best` (-1:
 * none): each loses its name before its files. By one process. */
pl_status pl_checkpoint_prune(const char *parent, int64_t keep, int64_t best);

/* ---- reading ---- */

/* A checkpoint by its manifest alone, parts unread. */
typedef struct pl_checkpoint_entry {
  int64_t step;
  bool readable; /* the manifest is */
  double value;  /* of the metric asked for; NaN where it has none */
} pl_checkpoint_entry;

/* The checkpoints in `parent`, newest first, with the values of `metric`. A missing folder holds
 * none. The caller frees the entries (pl_free). PL_E_IO. */
pl_status pl_checkpoint_list(const char *parent, const char *metric, pl_checkpoint_entry **entries,
                             int *count);

typedef struct pl_checkpoint pl_checkpoint;

/* Reads the manifest in `folder`. PL_E_DATA names what is wrong with it. The parts are to be
 * verified before they are read. */
pl_status pl_checkpoint_open(const char *folder, pl_checkpoint **out);
void pl_checkpoint_close(pl_checkpoint **checkpoint);

/* Verifies size and hash of the parts first, first + stride, … so that ranks can share the work.
 * PL_E_DATA names the first file that fails. */
pl_status pl_checkpoint_verify(const pl_checkpoint *checkpoint, int first, int stride);

const char *pl_checkpoint_folder(const pl_checkpoint *checkpoint);
/* Everything the manifest says; valid as long as the checkpoint. */
const pl_checkpoint_manifest *pl_checkpoint_get_manifest(const pl_checkpoint *checkpoint);
/* Names of what it holds; the values are NULL. */
const pl_checkpoint_vectors *pl_checkpoint_sliced(const pl_checkpoint *checkpoint);
const pl_checkpoint_vectors *pl_checkpoint_replicated(const pl_checkpoint *checkpoint);

/* A tensor or buffer as listed; `kind` is "weight", "bias", "gain" or "buffer". */
typedef struct pl_checkpoint_tensor {
  const char *name, *kind;
  int dims;
  const int64_t *dim; /* (dims) */
} pl_checkpoint_tensor;

/* Tensors first, then buffers; false past the end. */
bool pl_checkpoint_get_tensor(const pl_checkpoint *checkpoint, int index,
                              pl_checkpoint_tensor *out);

/* Reads the blocks of a slice from whichever parts hold them, into vectors of the same names (a
 * checkpoint may hold more), and replicated vectors likewise. Tensors are found by name, in any
 * order. PL_E_DATA names every tensor by which the checkpoint and `space` differ, or the vector
 * that it lacks. */
pl_status pl_checkpoint_read(const pl_checkpoint *checkpoint, const pl_space *space,
                             const pl_slice *slice, const pl_checkpoint_vectors *vectors,
                             const pl_checkpoint_vectors *replicated);

#endif
