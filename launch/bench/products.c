#include "launch/bench/products.h"

#include "runtime/base/memory.h"
#include "runtime/base/random.h"

pl_status pl_slab_product_make(int inner, pl_slab_product *p) {
  const pl_tile_spec spec = {.rows = {PL_SLAB},
                             .inner = inner,
                             .cols = PL_SLAB,
                             .out_stride = PL_SLAB,
                             .transposed = true,
                             .slots = 1,
                             .by_team = true};
  size_t elements = (size_t)PL_SLAB * (size_t)inner;
  p->inner = inner;
  PL_TRY(pl_tile_product_create(&spec, &p->product));
  p->left = pl_alloc(elements, sizeof *p->left);
  p->out = pl_alloc((size_t)PL_SLAB * PL_SLAB, sizeof *p->out);
  p->packed = pl_alloc(pl_tile_packed_bytes(p->product), 1);
  if (!p->left || !p->out || !p->packed) return PL_E_INTERNAL;
  pl_random random = pl_random_stream(1, PL_RANDOM_TEST, 0, 0, 0);
  for (size_t i = 0; i < elements; i++) p->left[i] = pl_random_uniform(&random);
  return pl_tile_pack(p->product, 0, p->left, p->packed);
}

pl_status pl_slab_product_run(pl_slab_product *p, int64_t times, double *flops) {
  for (int64_t i = 0; i < times; i++)
    PL_TRY(pl_tile_run(p->product, 0, PL_SLAB, p->left, p->packed, p->out));
  *flops += 2.0 * PL_SLAB * PL_SLAB * p->inner * (double)times;
  return PL_OK;
}

void pl_slab_product_free(pl_slab_product *p) {
  pl_tile_product_destroy(&p->product);
  pl_free(p->left);
  pl_free(p->out);
  pl_free(p->packed);
}
