/* The columns of a pair sweep, and the two products that a sweep takes with them.
 *
 * Columns are cut into tiles of `tile_cols`, the last one being what is left, and each is packed
 * twice, as each product reads it fastest. One set of packed columns can serve two sweeps that take
 * turns: whoever finds the columns of the other packs its own. */
#ifndef LOSSES_PAIR_COLUMNS_H
#define LOSSES_PAIR_COLUMNS_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

typedef struct pl_pair_columns_spec {
  int width;     /* d */
  int64_t total; /* columns */
  int tile_cols; /* at most `total` */
  int rows[2];   /* row counts of the products; 0 in the second where there is one */
  int slots;     /* calls at the same time, each with a slot of its own */
} pl_pair_columns_spec;

typedef struct pl_pair_columns pl_pair_columns;

/* Not collective. */
pl_status pl_pair_columns_create(const pl_pair_columns_spec *spec, pl_pair_columns **out);
void pl_pair_columns_destroy(pl_pair_columns **columns);

/* Columns of a tile. */
int pl_pair_columns_in(const pl_pair_columns *columns, int64_t tile);

/* Packs one tile of `all`, (total, width). */
pl_status pl_pair_columns_pack(pl_pair_columns *columns, int slot, int64_t tile, const float *all);

/* What was packed last: the array that was named so; NULL for nothing of use. */
void pl_pair_columns_name(pl_pair_columns *columns, const float *all);
const float *pl_pair_columns_named(const pl_pair_columns *columns);

/* s (rows, columns of the tile) = q Kᵀ; q (rows, width). */
pl_status pl_pair_columns_compare(pl_pair_columns *columns, int slot, int64_t tile, int rows,
                                  const float *q, float *s);

/* dq (rows, width) += w K; w (rows, columns of the tile). */
pl_status pl_pair_columns_combine(pl_pair_columns *columns, int slot, int64_t tile, int rows,
                                  const float *w, float *dq);

size_t pl_pair_columns_bytes(const pl_pair_columns *columns);

#endif
