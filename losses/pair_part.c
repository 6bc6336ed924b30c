#include "losses/pair_part.h"

#include "runtime/base/tree.h"

/* On the processor a tile and the operands of its products stay in a core's second-level cache at
 * widths up to 512. On a device a tile of similarities and its weights stay in the cache of all of
 * it, and are as large as that allows: 16 MiB of f32. They are higher than wide, since a gradient
 * has as many rows as its tile and few columns: 4096 × 512 are 128 blocks of 128 × 128 for the 132
 * multiprocessors of an H100. */
enum {
  HOST_TILE_ROWS = 128,
  HOST_TILE_COLS = 512,
  DEVICE_TILE_ROWS = 4096,
  DEVICE_TILE = 4 << 20,
  DEVICE_COLS_STEP = 64
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

bool pl_pair_on_host(const pl_pair_options *options) {
  return !options->device || options->device->is_host;
}

/* The width of column tiles unless one is given, for tiles of `rows` rows. On a device, where tiles
 * are few, all of about the same width. */
static int64_t default_cols(const pl_pair_options *options, int rows, int64_t total) {
  if (pl_pair_on_host(options)) return HOST_TILE_COLS;
  int64_t widest = rows < DEVICE_TILE ? DEVICE_TILE / rows : 1;
  int64_t tiles = (total - 1) / widest + 1, cols = (total - 1) / tiles + 1;
  return (cols + DEVICE_COLS_STEP - 1) / DEVICE_COLS_STEP * DEVICE_COLS_STEP;
}

/* Leaves are cut into as few row tiles as the largest tile allows, all of about the same height. */
void pl_pair_part_of(const pl_pair_options *given, int rank, int ranks, pl_pair_part *out) {
  pl_pair_part part = {.options = *given};
  pl_pair_options *options = &part.options;
  int64_t first_leaf, local_leaves;
  pl_tree_part(given->leaves, ranks, rank, &first_leaf, &local_leaves);
  part.first_row = first_leaf * given->leaf_rows;
  part.local_rows = local_leaves * given->leaf_rows;
  part.total_rows = given->leaves * given->leaf_rows;

  int highest = pl_pair_on_host(given) ? HOST_TILE_ROWS : DEVICE_TILE_ROWS;
  if (given->tile_rows) highest = given->tile_rows;
  part.leaf_tiles = (given->leaf_rows - 1) / highest + 1;
  options->tile_rows = (given->leaf_rows - 1) / part.leaf_tiles + 1;
  part.row_tiles = local_leaves * part.leaf_tiles;

  int64_t widest = given->tile_cols;
  if (!widest) widest = default_cols(given, options->tile_rows, part.total_rows);
  options->tile_cols = (int)smaller(widest, part.total_rows);
  part.col_tiles = (part.total_rows - 1) / options->tile_cols + 1;
  *out = part;
}

void pl_pair_row_tile(const pl_pair_part *part, int64_t index, int64_t *first, int *rows) {
  int leaf_rows = part->options.leaf_rows, tile_rows = part->options.tile_rows;
  int within = (int)(index % part->leaf_tiles) * tile_rows;
  *first = index / part->leaf_tiles * leaf_rows + within;
  *rows = (int)smaller(tile_rows, leaf_rows - within);
}

int pl_pair_last_rows(const pl_pair_part *part) {
  return part->options.leaf_rows - (part->leaf_tiles - 1) * part->options.tile_rows;
}

int pl_pair_last_cols(const pl_pair_part *part) {
  return (int)(part->total_rows - (part->col_tiles - 1) * part->options.tile_cols);
}
