/* A plain f32 matrix product on the processor, which rates are held against. */
#ifndef LAUNCH_BENCH_PRODUCTS_H
#define LAUNCH_BENCH_PRODUCTS_H

#include <stdint.h>

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

#endif
