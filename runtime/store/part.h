/* Inside of runtime/store: one part of a checkpoint, the HDF5 file of one rank.
 *
 *   /block             (n) int64: the blocks of the whole vector that the rank owned
 *   /vectors/NAME      (n, PL_BLOCK) float: the blocks' elements, a dataset per vector
 *   /replicated/NAME   (elements) float: the buffers one after another, in the first part
 *
 * All datasets are contiguous and little-endian, and the file holds no time stamps: equal state
 * gives equal bytes. */
#ifndef PL_STORE_PART_H
#define PL_STORE_PART_H

#include "runtime/store/checkpoint.h"

/* Writes, measures, syncs and closes a part. `replicated` may be NULL. PL_E_IO; a file may then be
 * left. */
pl_status pl_part_write(const char *path, const pl_slice *slice,
                        const pl_checkpoint_vectors *vectors,
                        const pl_checkpoint_vectors *replicated, int64_t buffer_elements,
                        pl_checkpoint_part_record *record);

typedef struct pl_part pl_part;

/* Opens a part and reads its block numbers. PL_E_DATA when it is not a part. */
pl_status pl_part_open(const char *path, pl_part **out);
void pl_part_close(pl_part **part);

int64_t pl_part_blocks(const pl_part *part);
const int64_t *pl_part_block(const pl_part *part); /* (blocks) */

/* A run of blocks that lie one after another both in the part and where they are to go. */
typedef struct pl_part_run {
  int64_t row, to, count; /* blocks: from where in the part, to where, how many */
} pl_part_run;

pl_status pl_part_read_vector(const pl_part *part, const char *name, const pl_part_run *runs,
                              int64_t count, float *values);
pl_status pl_part_read_replicated(const pl_part *part, const char *name, int64_t elements,
                                  float *values);

/* Size and xxHash128 (as text) of a file, read as a stream; `path` is for messages only. */
pl_status pl_part_measure(int fd, const char *path, pl_checkpoint_part_record *record);

#endif
