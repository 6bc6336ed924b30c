/* Rows of one matrix on several ranks, in unequal parts. */
#ifndef TESTS_DIST_ROWS_H
#define TESTS_DIST_ROWS_H

#include "comm/comm.h"
#include "models/knn.h"

/* This rank's part of what all ranks hold whole: rank r gets a share in proportion to r + 1; `skip`
 * gives rank 0 nothing. *first: the part's first row. */
static inline pl_knn_rows part_of_rows(pl_comm *comm, const float *features, const int32_t *labels,
                                       int64_t rows, int width, int skip, int64_t *first) {
  int64_t ranks = pl_comm_size(comm), rank = pl_comm_rank(comm);
  int64_t shares = ranks * (ranks + 1) / 2;
  int64_t end = rows * ((rank + 1) * (rank + 2) / 2) / shares;
  *first = rows * (rank * (rank + 1) / 2) / shares;
  if (skip && ranks > 1 && rank == 0) end = *first;
  if (skip && ranks > 1 && rank == 1) *first = 0;
  return (pl_knn_rows){
      .features = features + *first * width, .labels = labels + *first, .count = end - *first};
}

#endif
