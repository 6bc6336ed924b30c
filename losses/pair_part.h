/* How a pair sweep is cut into tiles: a function of its options, and of the ranks only in which
 * leaves are whose. */
#ifndef LOSSES_PAIR_PART_H
#define LOSSES_PAIR_PART_H

#include "losses/pair.h"

/* A rank's part of a sweep. */
typedef struct pl_pair_part {
  pl_pair_options options; /* with the tile that is used */
  int64_t first_row, local_rows, total_rows;
  int leaf_tiles;    /* row tiles per leaf */
  int64_t row_tiles; /* of this rank */
  int64_t col_tiles;
} pl_pair_part;

void pl_pair_part_of(const pl_pair_options *options, int rank, int ranks, pl_pair_part *out);

/* Whether these options stand for the processor. */
bool pl_pair_on_host(const pl_pair_options *options);

/* The row tile `index` of this rank: its first row, counted from the rank's first, and its rows. */
void pl_pair_row_tile(const pl_pair_part *part, int64_t index, int64_t *first, int *rows);

/* Rows of a leaf's last row tile, and columns of the last column tile. */
int pl_pair_last_rows(const pl_pair_part *part);
int pl_pair_last_cols(const pl_pair_part *part);

#endif
