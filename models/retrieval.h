/* Streaming retrieval over all ranks: for each query the most similar of all keys, never a matrix
 * of queries × keys. The same answer on any number of ranks (see models/knn.h for how). */
#ifndef MODELS_RETRIEVAL_H
#define MODELS_RETRIEVAL_H

#include <stdint.h>

#include "comm/comm.h"

/* One rank's rows, unit length; the caller's. */
typedef struct pl_retrieval_rows {
  const float *features; /* (count, width) */
  const int64_t
      *group;    /* (count): a key is right for a query of the same group; a class, an image */
  int64_t count; /* may be 0 and may differ between ranks */
} pl_retrieval_rows;

enum { PL_RETRIEVAL_CUTS = 4 };

typedef struct pl_retrieval_result {
  int64_t queries; /* over all ranks */
  int64_t keys;
  int64_t found[PL_RETRIEVAL_CUTS]; /* queries with a right key among the first cut[i] */
} pl_retrieval_result;

/* Recall at the given cuts (ascending, 0 past the last). Equal similarities go to the lower key.
 * PL_E_USAGE for an empty set of keys or a width below 1. Collective; width and cuts must match on
 * all ranks. */
pl_status pl_retrieve(pl_comm *comm, int width, const pl_retrieval_rows *queries,
                      const pl_retrieval_rows *keys, const int cut[PL_RETRIEVAL_CUTS],
                      pl_retrieval_result *result);

#endif
