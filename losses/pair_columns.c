#include "losses/pair_columns.h"

#include "losses/tile_product.h"
#include "runtime/base/memory.h"

/* The two widths of column tiles: the full one, and what is left at the end of the batch. */
enum { FULL, REST, WIDTHS };

struct pl_pair_columns {
  pl_pair_columns_spec spec;
  int64_t tiles;
  pl_tile_product *compare[WIDTHS];  /* S = Q Kᵀ */
  pl_tile_product *combine[WIDTHS];  /* dQ += W K */
  char *compare_keys, *combine_keys; /* the tiles packed for the two products, in order */
  const float *named;
  size_t bytes;
};

static pl_status make_products(pl_pair_columns *columns) {
  const pl_pair_columns_spec *given = &columns->spec;
  const int cols[WIDTHS] = {
      [FULL] = given->tile_cols, [REST] = (int)(given->total % given->tile_cols)};
  for (int i = 0; i < WIDTHS; i++) {
    if (cols[i] == 0) continue;
    pl_tile_spec spec = {
        .rows = {given->rows[0], given->rows[1]},
        .inner = given->width,
        .cols = cols[i],
        .out_stride = cols[i],
        .transposed = true,
        .slots = given->slots,
    };
    PL_TRY(pl_tile_product_create(&spec, &columns->compare[i]));
    spec.inner = cols[i];
    spec.cols = spec.out_stride = given->width;
    spec.transposed = false;
    spec.accumulate = true;
    PL_TRY(pl_tile_product_create(&spec, &columns->combine[i]));
    columns->bytes +=
        pl_tile_product_bytes(columns->compare[i]) + pl_tile_product_bytes(columns->combine[i]);
  }
  return PL_OK;
}

static char *make_keys(pl_pair_columns *columns, pl_tile_product *const product[WIDTHS]) {
  size_t full = (size_t)(columns->spec.total / columns->spec.tile_cols);
  size_t bytes = full * pl_tile_packed_bytes(product[FULL]) +
                 (product[REST] ? pl_tile_packed_bytes(product[REST]) : 0);
  columns->bytes += bytes;
  return pl_alloc(bytes, 1);
}

pl_status pl_pair_columns_create(const pl_pair_columns_spec *spec, pl_pair_columns **out) {
  *out = NULL;
  pl_pair_columns *columns = pl_alloc(1, sizeof *columns);
  if (!columns) return PL_E_INTERNAL;
  columns->spec = *spec;
  columns->tiles = (spec->total - 1) / spec->tile_cols + 1;
  columns->bytes = sizeof *columns;
  pl_status status = PL_OK;
  PL_TRY_OR(done, status, make_products(columns));
  columns->compare_keys = make_keys(columns, columns->compare);
  columns->combine_keys = make_keys(columns, columns->combine);
  if (!columns->compare_keys || !columns->combine_keys) status = PL_E_INTERNAL;
done:
  if (status != PL_OK) pl_pair_columns_destroy(&columns);
  *out = columns;
  return status;
}

void pl_pair_columns_destroy(pl_pair_columns **columns) {
  pl_pair_columns *c = *columns;
  if (!c) return;
  for (int i = 0; i < WIDTHS; i++) {
    pl_tile_product_destroy(&c->compare[i]);
    pl_tile_product_destroy(&c->combine[i]);
  }
  pl_free(c->compare_keys);
  pl_free(c->combine_keys);
  pl_free(c);
  *columns = NULL;
}

size_t pl_pair_columns_bytes(const pl_pair_columns *columns) { return columns->bytes; }
const float *pl_pair_columns_named(const pl_pair_columns *columns) { return columns->named; }

void pl_pair_columns_name(pl_pair_columns *columns, const float *all) { columns->named = all; }

int pl_pair_columns_in(const pl_pair_columns *columns, int64_t tile) {
  int64_t left = columns->spec.total - tile * columns->spec.tile_cols;
  return left < columns->spec.tile_cols ? (int)left : columns->spec.tile_cols;
}

static int width_of(const pl_pair_columns *columns, int64_t tile) {
  return pl_pair_columns_in(columns, tile) == columns->spec.tile_cols ? FULL : REST;
}

/* Where a packed tile lies: all tiles before it are full ones. */
static char *keys(char *packed, pl_tile_product *const product[WIDTHS], int64_t tile) {
  return packed + (size_t)tile * pl_tile_packed_bytes(product[FULL]);
}

pl_status pl_pair_columns_pack(pl_pair_columns *columns, int slot, int64_t tile, const float *all) {
  int which = width_of(columns, tile);
  const float *right = all + tile * columns->spec.tile_cols * (int64_t)columns->spec.width;
  PL_TRY(pl_tile_pack(columns->compare[which], slot, right,
                      keys(columns->compare_keys, columns->compare, tile)));
  return pl_tile_pack(columns->combine[which], slot, right,
                      keys(columns->combine_keys, columns->combine, tile));
}

pl_status pl_pair_columns_compare(pl_pair_columns *columns, int slot, int64_t tile, int rows,
                                  const float *q, float *s) {
  return pl_tile_run(columns->compare[width_of(columns, tile)], slot, rows, q,
                     keys(columns->compare_keys, columns->compare, tile), s);
}

pl_status pl_pair_columns_combine(pl_pair_columns *columns, int slot, int64_t tile, int rows,
                                  const float *w, float *dq) {
  return pl_tile_run(columns->combine[width_of(columns, tile)], slot, rows, w,
                     keys(columns->combine_keys, columns->combine, tile), dq);
}
