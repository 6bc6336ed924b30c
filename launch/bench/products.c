#include "launch/bench/products.h"

#include <math.h>
#include <omp.h>

#include "runtime/base/memory.h"
#include "runtime/base/random.h"

enum { WALK = 8, ROW_TILES_PER_THREAD = 64 };

/* ---- one large product ---- */

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

/* ---- those of a sweep ---- */

static double flops_of_row_tile(const pl_pair_options *shapes) {
  return 6.0 * shapes->tile_rows * shapes->tile_cols * shapes->width * WALK;
}

static pl_status make_products(pl_sweep_products *p) {
  const pl_pair_options *shapes = &p->shapes;
  pl_tile_spec spec = {.rows = {shapes->tile_rows},
                       .inner = shapes->width,
                       .cols = shapes->tile_cols,
                       .out_stride = shapes->tile_cols,
                       .transposed = true,
                       .slots = p->threads};
  PL_TRY(pl_tile_product_create(&spec, &p->similar));
  spec.inner = shapes->tile_cols;
  spec.cols = spec.out_stride = shapes->width;
  spec.transposed = false;
  spec.accumulate = true;
  return pl_tile_product_create(&spec, &p->combine);
}

pl_status pl_sweep_products_make(const pl_pair_options *shapes, int threads, double flops,
                                 pl_sweep_products *p) {
  p->shapes = *shapes;
  p->threads = threads;
  PL_TRY(make_products(p));
  int rounds = (int)fmin(ceil(flops / flops_of_row_tile(shapes) / threads), ROW_TILES_PER_THREAD);
  p->row_tiles = threads * rounds;
  size_t tile_rows = (size_t)shapes->tile_rows, tile_cols = (size_t)shapes->tile_cols;
  size_t elements = (size_t)p->row_tiles * tile_rows * (size_t)shapes->width;
  p->similar_keys = pl_alloc(WALK, pl_tile_packed_bytes(p->similar));
  p->combine_keys = pl_alloc(WALK, pl_tile_packed_bytes(p->combine));
  p->rows = pl_alloc(elements, sizeof *p->rows);
  p->sums = pl_alloc(elements, sizeof *p->sums);
  p->tiles = pl_alloc((size_t)threads * tile_rows * tile_cols, sizeof *p->tiles);
  bool all = p->similar_keys && p->combine_keys && p->rows && p->sums && p->tiles;
  return all ? PL_OK : PL_E_INTERNAL;
}

/* Sweep 1 and sweep 2 of one row tile. */
static pl_status run_row_tile(pl_sweep_products *p, int slot, int index) {
  int tile_rows = p->shapes.tile_rows;
  size_t rows = (size_t)tile_rows, width = (size_t)p->shapes.width;
  const float *q = p->rows + (size_t)index * rows * width;
  float *dq = p->sums + (size_t)index * rows * width;
  float *tile = p->tiles + (size_t)slot * rows * (size_t)p->shapes.tile_cols;
  for (int sweep = 1; sweep <= 2; sweep++) {
    for (size_t j = 0; j < WALK; j++) {
      const char *keys = p->similar_keys + j * pl_tile_packed_bytes(p->similar);
      PL_TRY(pl_tile_run(p->similar, slot, tile_rows, q, keys, tile));
      if (sweep == 1) continue;
      keys = p->combine_keys + j * pl_tile_packed_bytes(p->combine);
      PL_TRY(pl_tile_run(p->combine, slot, tile_rows, tile, keys, dq));
    }
  }
  return PL_OK;
}

pl_status pl_sweep_products_run(pl_sweep_products *p, double *flops) {
  pl_reason failure = {.code = PL_OK};
#pragma omp parallel for schedule(dynamic, 1) num_threads(p->threads)
  for (int index = 0; index < p->row_tiles; index++) {
    if (run_row_tile(p, omp_get_thread_num(), index) != PL_OK) {
#pragma omp critical(bench_failure)
      failure = *pl_last_reason();
    }
  }
  *flops += flops_of_row_tile(&p->shapes) * p->row_tiles;
  return failure.code == PL_OK ? PL_OK : pl_adopt_reason(&failure);
}

void pl_sweep_products_free(pl_sweep_products *p) {
  pl_tile_product_destroy(&p->similar);
  pl_tile_product_destroy(&p->combine);
  pl_free(p->similar_keys);
  pl_free(p->combine_keys);
  pl_free(p->rows);
  pl_free(p->sums);
  pl_free(p->tiles);
}
