/* Checkpoints: a folder that is complete and verified, or not there.
 *
 * `step-00001200.tmp/part-NNNNN.h5`, one part per rank: closed, synced, hashed; then one process
 * writes and syncs `manifest.yaml` (format version, step, parts with size and xxHash128, the list
 * of tensors, the effective configuration, the build), syncs the folder, renames it to
 * `step-00001200` and syncs the parent. A reader accepts only what the manifest verifies.
 *
 * A part holds blocks of the flat vectors ("params", "momentum" …) with their numbers, so that any
 * number of ranks can read what any other number wrote; the part of rank 0 also holds the buffers.
 */
#ifndef PL_STORE_CHECKPOINT_H
#define PL_STORE_CHECKPOINT_H

#include <stdbool.h>

#include "runtime/base/file.h"
#include "runtime/tensor/space.h"

enum { PL_CHECKPOINT_VERSION = 1, PL_CHECKPOINT_VECTORS = 8, PL_CHECKPOINT_HASH = 33 };

typedef struct pl_checkpoint_part_record {
  int64_t bytes;
  char hash[PL_CHECKPOINT_HASH]; /* xxHash128 of the file, hex */
} pl_checkpoint_part_record;

/* Named vectors over one slice. */
typedef struct pl_checkpoint_vectors {
  int count;
  const char *name[PL_CHECKPOINT_VECTORS];
  float *values[PL_CHECKPOINT_VECTORS]; /* slice->blocks * PL_BLOCK floats each */
} pl_checkpoint_vectors;

/* Path of the folder of a step inside `parent`, without or with ".tmp"; `out` has PL_PATH_MAX
 * bytes.
 */
pl_status pl_checkpoint_path(const char *parent, int64_t step, bool temporary, char *out);

/* Makes the empty temporary folder of a step, in place of what a run that ended early may have left
 * there. By one process, before any part is written. */
pl_status pl_checkpoint_begin(const char *parent, int64_t step);

/* Writes one rank's part into the temporary folder, syncs it and fills its record. `buffers` is
 * NULL except on rank 0. PL_E_IO names the file, which is then removed. Not collective. */
pl_status pl_checkpoint_write_part(const char *temporary, const pl_space *space,
                                   const pl_slice *slice, const pl_checkpoint_vectors *vectors,
                                   const float *buffers, pl_checkpoint_part_record *record);

typedef struct pl_checkpoint_manifest {
  int64_t step, position; /* training steps done; position in the sample stream */
  int64_t skipped;        /* corrupt samples so far */
  int parts;
  const pl_checkpoint_part_record *part;
  const char *config_yaml; /* effective configuration, embedded as a block of text */
  const char *build;       /* version and build of the program */
  char state_hash[PL_CHECKPOINT_HASH];
} pl_checkpoint_manifest;

/* Writes the manifest and makes the checkpoint visible under its final name, in place of an earlier
 * one of the same step. By one process, after all parts are written. After an error the folder is
 * still a temporary one, which no reader looks at. */
pl_status pl_checkpoint_commit(const char *parent, const pl_space *space,
                               const pl_checkpoint_vectors *vectors,
                               const pl_checkpoint_manifest *manifest);

typedef struct pl_checkpoint pl_checkpoint;

/* Opens a checkpoint folder: reads the manifest and verifies size and hash of every part. PL_E_DATA
 * names what fails. */
pl_status pl_checkpoint_open(const char *folder, pl_checkpoint **out);
void pl_checkpoint_close(pl_checkpoint **checkpoint);

/* The newest checkpoint in `parent` that opens; each one passed over is logged with its reason.
 * PL_E_DATA when there is none. */
pl_status pl_checkpoint_open_newest(const char *parent, pl_checkpoint **out);

const char *pl_checkpoint_folder(const pl_checkpoint *checkpoint);
const char *pl_checkpoint_config(const pl_checkpoint *checkpoint); /* YAML text */
const char *pl_checkpoint_build(const pl_checkpoint *checkpoint);
int64_t pl_checkpoint_step(const pl_checkpoint *checkpoint);
int64_t pl_checkpoint_position(const pl_checkpoint *checkpoint);
int64_t pl_checkpoint_skipped(const pl_checkpoint *checkpoint);
const char *pl_checkpoint_state_hash(const pl_checkpoint *checkpoint);

/* Reads the blocks of a slice from whichever parts hold them, into vectors of the same names (a
 * checkpoint may hold more), and the buffers if not NULL. Tensors are found by name, in any order.
 * PL_E_DATA names every tensor by which the checkpoint and `space` differ.
 */
pl_status pl_checkpoint_read(const pl_checkpoint *checkpoint, const pl_space *space,
                             const pl_slice *slice, const pl_checkpoint_vectors *vectors,
                             float *buffers);

#endif
