/* A file of a dataset's representations (HDF5), whose arrays are filled later, by whoever has them.
 *
 *   /embedding  (n, width) float32
 *   /id         (n) int64           of each sample, as the dataset has it
 *   /label      (n) int32           -1 without label
 *
 * All little-endian and contiguous. Attributes of the file: "dataset" and "state" (hashes that name
 * them), "weights" (which of the state's: "trained" or "average"), "step" (of training), "build".
 * It holds no times, so that equal content is equal bytes. */
#ifndef PL_STORE_EMBEDDINGS_H
#define PL_STORE_EMBEDDINGS_H

#include <stdint.h>

#include "runtime/base/status.h"

typedef struct pl_embeddings_facts {
  int64_t samples; /* >= 1 */
  int width;
  int64_t step;
  const char *dataset, *state, *weights, *build;
} pl_embeddings_facts;

/* Where in the file each array begins, and how long the file is. */
typedef struct pl_embeddings_layout {
  int64_t values_at, ids_at, labels_at, bytes;
} pl_embeddings_layout;

/* Makes the file at `path`, in place of what was there: complete but for the arrays' content, which
 * is to be written to the places that `layout` tells. Room on the disk is taken at once, where the
 * file system can, so that a full disk shows before any work. PL_E_IO; nothing is left at `path`
 * then. Not collective. */
pl_status pl_embeddings_create(const char *path, const pl_embeddings_facts *facts,
                               pl_embeddings_layout *layout);

#endif
