/* Products of small matrices of fixed shape in single precision: C = A·B or C += A·B.
 *
 * The one place of this folder that knows the library underneath (oneDNN). The right operand is
 * packed once into the layout that the kernel reads fastest, then used with many left operands. A
 * kernel works on one thread, so that many run at once and its sums never depend on the size of the
 * team; only a product `by_team` uses the whole compute team. */
#ifndef LOSSES_TILE_PRODUCT_H
#define LOSSES_TILE_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/status.h"

enum { PL_TILE_ROW_COUNTS = 2 };

typedef struct pl_tile_spec {
  int rows[PL_TILE_ROW_COUNTS]; /* row counts that A may have; 0 where there are fewer */
  int inner;                    /* columns of A and rows of B */
  int cols;
  int out_stride;  /* elements between rows of C; A's rows lie `inner` apart */
  bool transposed; /* B is given as its transpose, (cols, inner) */
  bool accumulate; /* C += A·B */
  int slots;       /* calls that may run at once, each with its own slot */
  bool by_team;
} pl_tile_spec;

typedef struct pl_tile_product pl_tile_product;

/* Not collective. */
pl_status pl_tile_product_create(const pl_tile_spec *spec, pl_tile_product **out);
void pl_tile_product_destroy(pl_tile_product **product);

/* Bytes of a packed right operand, a multiple of PL_ALIGNMENT; the same for all row counts. */
size_t pl_tile_packed_bytes(const pl_tile_product *product);

/* Packs `right`, (inner, cols) or transposed (cols, inner), rows without gaps, into `packed`,
 * aligned to PL_ALIGNMENT. Calls at the same time need different slots; so for pl_tile_run. */
pl_status pl_tile_pack(pl_tile_product *product, int slot, const float *right, void *packed);

/* out (rows, cols; rows out_stride apart) = or += left (rows, inner) · packed. `rows` must be one
 * of the spec's. */
pl_status pl_tile_run(pl_tile_product *product, int slot, int rows, const float *left,
                      const void *packed, float *out);

/* Bytes held besides packed operands. */
size_t pl_tile_product_bytes(const pl_tile_product *product);

#endif
