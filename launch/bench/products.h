/* Plain f32 matrix products, which rates are held against. */
#ifndef LAUNCH_BENCH_PRODUCTS_H
#define LAUNCH_BENCH_PRODUCTS_H

#include "losses/pair.h"
#include "losses/tile_product.h"

/* One large product, shared by the team: (SLAB, inner) times (inner, SLAB). */
enum { PL_SLAB = 2048 };

typedef struct pl_slab_product {
  pl_tile_product *product;
  int inner;
  float *left, *out;
  char *packed; /* the right operand: `left` transposed */
} pl_slab_product;

/* To be freed also after a failure; so below. */
pl_status pl_slab_product_make(int inner, pl_slab_product *p);
/* Adds the operations to *flops; so below. */
pl_status pl_slab_product_run(pl_slab_product *p, int64_t times, double *flops);
void pl_slab_product_free(pl_slab_product *p);

/* The products of a pair sweep without what lies between them: each row tile meets some column
 * tiles, packed already, in sweep 1 and in sweep 2. */
typedef struct pl_sweep_products {
  pl_pair_options shapes;
  int threads, row_tiles;
  pl_tile_product *similar, *combine;
  char *similar_keys, *combine_keys; /* (column tiles, packed tile) */
  float *rows;                       /* (row tiles, tile_rows, width) */
  float *sums;                       /* as rows */
  float *tiles;                      /* (threads, tile_rows, tile_cols) */
} pl_sweep_products;

/* One run is about `flops` operations on each rank, within what memory allows. */
pl_status pl_sweep_products_make(const pl_pair_options *shapes, int threads, double flops,
                                 pl_sweep_products *p);
pl_status pl_sweep_products_run(pl_sweep_products *p, double *flops);
void pl_sweep_products_free(pl_sweep_products *p);

#endif
