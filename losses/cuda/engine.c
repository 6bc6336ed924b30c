/* Tiles of similarities come from one matrix product each, are met by one kernel of the loss, and
 * in sweep 2 go into another product:
 *
 *   sweep 1:  S = Q Kᵀ,  states of the rows += what S tells
 *   sweep 2:  S = Q Kᵀ,  W = weights of S,  dQ += W K
 *
 * States are begun and finished by the loss's functions for the processor, on all threads: these
 * are as many numbers as there are rows, and want doubles. A sweep and its mirror take turns in all
 * but their columns; the rows of the one are among the columns of the other. */
#include "losses/cuda/engine.h"

#include <string.h>

#include "losses/cuda/code.h"
#include "losses/cuda/room.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/product.h"

static const pl_pair_code *const codes[] = {&pl_ntxent_code, &pl_clip_softmax_code,
                                            &pl_clip_sigmoid_code, &pl_clip_sigmoid_texts_code,
                                            &pl_uniformity_code};

/* The two sizes that tiles have in each direction: the full one, and what is left at the end of a
 * leaf or of the batch. */
enum { FULL, REST, SIZES };

/* What a sweep shares with its mirror. */
typedef struct bench {
  pl_product *compare[SIZES][SIZES]; /* S = Q Kᵀ, by size of rows and of columns */
  pl_product *combine[SIZES][SIZES]; /* dQ += W K */
  float *tile;
  void *weights; /* may be the tile */
  void *states;  /* (local rows, state of the loss) */
  void *host_states;
  float *row_stats, *col_stats;
  void *scratch;
} bench;

typedef struct device_engine {
  pl_pair_part part;
  pl_pair_room room;
  bool is_mirror;
  struct device_engine *twin; /* its sweep or its mirror; NULL: there is none */
  bench *bench;
  void *columns; /* (total rows, width), in the type of the products */
  pl_pair_embeddings now;
  bool is_there; /* whether the columns are those of `now` */
} device_engine;

/* ---- making ---- */

static pl_status make_products(const pl_pair_part *part, const pl_pair_room *room, int row_size,
                               int col_size, bench *b) {
  const pl_pair_options *options = &part->options;
  int rows = row_size == FULL ? options->tile_rows : pl_pair_last_rows(part);
  int cols = col_size == FULL ? options->tile_cols : pl_pair_last_cols(part);
  const pl_product_matrix embeddings = {.line = options->width, .placement = options->width};
  const pl_product_matrix tile = {.line = room->stride};
  pl_product_matrix flipped = embeddings;
  flipped.transposed = true;
  pl_product_spec spec = {.batch = 1,
                          .rows = rows,
                          .inner = options->width,
                          .cols = cols,
                          .left = embeddings,
                          .right = flipped,
                          .out = tile,
                          .type = options->type,
                          .out_type = PL_F32,
                          .tf32 = pl_cuda_tf32()};
  PL_TRY(pl_product_create(&spec, &b->compare[row_size][col_size]));
  spec.inner = cols;
  spec.cols = options->width;
  spec.left = tile;
  spec.right = spec.out = embeddings;
  return pl_product_create(&spec, &b->combine[row_size][col_size]);
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Then the room is what the scratch of these takes. */
static pl_status make_all_products(const pl_pair_part *part, pl_pair_room *room, bench *b) {
  bool rest_rows = pl_pair_last_rows(part) != part->options.tile_rows;
  bool rest_cols = pl_pair_last_cols(part) != part->options.tile_cols;
  room->scratch_bytes = 0;
  for (int i = FULL; i <= (rest_rows ? REST : FULL); i++)
    for (int j = FULL; j <= (rest_cols ? REST : FULL); j++) {
      PL_TRY(make_products(part, room, i, j, b));
      size_t compare = pl_product_scratch_bytes(b->compare[i][j]);
      size_t combine = pl_product_scratch_bytes(b->combine[i][j]);
      room->scratch_bytes = larger(room->scratch_bytes, larger(compare, combine));
    }
  return PL_OK;
}

static pl_status make_bench(const pl_pair_part *part, pl_pair_room *room, bench *b) {
  const pl_device *device = part->options.device;
  PL_TRY(make_all_products(part, room, b));
  PL_TRY(device->alloc(room->tile_bytes, (void **)&b->tile));
  b->weights = b->tile;
  if (room->weight_bytes) PL_TRY(device->alloc(room->weight_bytes, &b->weights));
  PL_TRY(device->alloc(room->state_bytes, &b->states));
  PL_TRY(device->alloc(room->row_stat_bytes, (void **)&b->row_stats));
  PL_TRY(device->alloc(room->col_stat_bytes, (void **)&b->col_stats));
  PL_TRY(device->alloc(room->scratch_bytes, &b->scratch));
  b->host_states = pl_alloc(room->state_bytes, 1);
  return b->host_states ? PL_OK : PL_E_INTERNAL;
}

static void free_bench(const pl_device *device, bench *b) {
  if (!b) return;
  for (int i = 0; i < SIZES; i++)
    for (int j = 0; j < SIZES; j++) {
      pl_product_destroy(&b->compare[i][j]);
      pl_product_destroy(&b->combine[i][j]);
    }
  pl_free(b->host_states);
  device->release(b->scratch);
  device->release(b->col_stats);
  device->release(b->row_stats);
  device->release(b->states);
  if (b->weights != b->tile) device->release(b->weights);
  device->release(b->tile);
  pl_free(b);
}

static void destroy(void *state) {
  device_engine *e = state;
  if (!e) return;
  const pl_device *device = e->part.options.device;
  device->release(e->columns);
  if (e->twin) e->twin->twin = NULL;
  if (!e->is_mirror) free_bench(device, e->bench);
  pl_free(e);
}

static pl_status create(const pl_pair_part *part, void *twin, void **state) {
  device_engine *sweep = twin;
  pl_status status = PL_OK;
  device_engine *e = pl_alloc(1, sizeof *e);
  if (!e) return PL_E_INTERNAL;
  e->part = *part;
  pl_pair_room_of(part, &e->room);
  e->is_mirror = sweep;
  PL_TRY_OR(failed, status, part->options.device->alloc(e->room.column_bytes, &e->columns));
  if (sweep) {
    PL_INVARIANT(!sweep->twin);
    e->bench = sweep->bench;
    e->twin = sweep;
    sweep->twin = e;
  } else {
    e->bench = pl_alloc(1, sizeof *e->bench);
    if (!e->bench) status = PL_E_INTERNAL;
    PL_TRY_OR(failed, status, status);
    PL_TRY_OR(failed, status, make_bench(part, &e->room, e->bench));
  }
  *state = e;
  return PL_OK;
failed:
  destroy(e);
  return status;
}

static pl_pair_bytes bytes(const void *state) {
  const device_engine *e = state;
  size_t shared = e->is_mirror ? 0 : sizeof *e->bench + e->room.state_bytes;
  return (pl_pair_bytes){.host = sizeof *e + shared,
                         .device = pl_pair_room_bytes(&e->room, e->is_mirror)};
}

/* ---- embeddings ---- */

static void take(void *state, const pl_pair_embeddings *embeddings) {
  device_engine *e = state;
  e->now = *embeddings;
  e->is_there = !embeddings->columns;
}

/* From the host, rounded on the device, where the tile has room for a piece at a time. */
static pl_status put_rounded(device_engine *e, size_t count) {
  const pl_device *device = e->part.options.device;
  pl_bf16 *to = e->columns;
  size_t most = (size_t)e->room.tile;
  for (size_t at = 0; at < count; at += most) {
    size_t n = count - at < most ? count - at : most;
    PL_TRY(device->put(e->bench->tile, e->now.columns + at, n * sizeof(float)));
    pl_launch_convert(pl_cuda_stream(), PL_BF16, to + at, PL_F32, e->bench->tile, n);
  }
  return pl_cuda_check("rounding embeddings", cudaGetLastError());
}

/* From the device itself. */
static pl_status put_own(const device_engine *e, void *to, const float *from, size_t count) {
  if (e->part.options.type == PL_BF16)
    return pl_cuda_backend()->convert(PL_BF16, to, PL_F32, from, count);
  return e->part.options.device->copy(to, from, count * sizeof *from);
}

static pl_status bring_columns(device_engine *e) {
  const pl_device *device = e->part.options.device;
  bool rounded = e->part.options.type == PL_BF16;
  size_t count = (size_t)e->part.total_rows * (size_t)e->part.options.width;
  if (e->is_there) return PL_OK;
  if (e->now.on_host && rounded)
    PL_TRY(put_rounded(e, count));
  else if (e->now.on_host)
    PL_TRY(device->put(e->columns, e->now.columns, count * sizeof(float)));
  else
    PL_TRY(put_own(e, e->columns, e->now.columns, count));
  e->is_there = true;
  return PL_OK;
}

static size_t row_bytes(const device_engine *e) {
  return (size_t)e->part.options.width * pl_dtype_bytes(e->part.options.type);
}

static const void *row_at(const device_engine *e, const void *rows, int64_t row) {
  return (const char *)rows + (size_t)row * row_bytes(e);
}

/* Rounded before they leave: half the bytes, and the same bits as if each rank did it. */
static pl_status place_columns(void *state, const float *given, void **columns,
                               size_t *bytes_of_row) {
  device_engine *e = state;
  size_t count = (size_t)e->part.local_rows * (size_t)e->part.options.width;
  *columns = e->columns;
  *bytes_of_row = row_bytes(e);
  return put_own(e, (char *)e->columns + (size_t)e->part.first_row * row_bytes(e), given, count);
}

/* Brings what is needed; *rows is this rank's first row. */
static pl_status bring(device_engine *e, const void **rows) {
  device_engine *holder = e->now.rows == e->now.given ? e : e->twin;
  if (!holder || holder->now.given != e->now.rows)
    return PL_FAIL(PL_E_INTERNAL, "pair sweep: the mirror has not gathered what are rows here");
  PL_TRY(bring_columns(e));
  PL_TRY(bring_columns(holder));
  *rows = row_at(holder, holder->columns, e->part.first_row);
  return PL_OK;
}

/* ---- tiles ---- */

/* One tile in its turn. */
typedef struct place {
  pl_pair_tile tile;
  int64_t first; /* its first row, counted from the rank's first */
  int row_size, col_size;
} place;

/* The tiles in an order that reads the operand whose tiles are larger but once; each row meets its
 * columns in their order all the same. */
static place place_of(const device_engine *e, int64_t turn) {
  const pl_pair_part *part = &e->part;
  bool by_columns = part->options.tile_cols > part->options.tile_rows;
  int64_t i = by_columns ? turn % part->row_tiles : turn / part->col_tiles;
  int64_t j = by_columns ? turn / part->row_tiles : turn % part->col_tiles;
  place p = {.tile = {.s = e->bench->tile, .stride = e->room.stride}};
  pl_pair_row_tile(part, i, &p.first, &p.tile.rows);
  p.tile.cols = j == part->col_tiles - 1 ? pl_pair_last_cols(part) : part->options.tile_cols;
  p.tile.first_row = part->first_row + p.first;
  p.tile.first_col = j * part->options.tile_cols;
  p.row_size = p.tile.rows == part->options.tile_rows ? FULL : REST;
  p.col_size = p.tile.cols == part->options.tile_cols ? FULL : REST;
  return p;
}

static pl_status compare(const device_engine *e, const place *p, const void *rows) {
  const bench *b = e->bench;
  return pl_product_run(b->compare[p->row_size][p->col_size], row_at(e, rows, p->first),
                        row_at(e, e->columns, p->tile.first_col), b->tile, b->scratch);
}

static pl_status combine(const device_engine *e, const place *p, float *dz) {
  const bench *b = e->bench;
  const pl_product *product = b->combine[p->row_size][p->col_size];
  const void *keys = row_at(e, e->columns, p->tile.first_col);
  float *dq = dz + p->first * e->part.options.width;
  if (p->tile.first_col == 0) return pl_product_run(product, b->weights, keys, dq, b->scratch);
  return pl_product_add(product, b->weights, keys, dq, b->scratch);
}

/* Sweep 1 with the loss's code, or where that is NULL the products alone; so below. */
static pl_status gather_tiles(device_engine *e, const pl_pair_loss *loss, const pl_pair_code *code,
                              const void *rows) {
  for (int64_t turn = 0; turn < e->part.row_tiles * e->part.col_tiles; turn++) {
    const place p = place_of(e, turn);
    PL_TRY(compare(e, &p, rows));
    if (!code) continue;
    char *states = (char *)e->bench->states + (size_t)p.first * loss->state_bytes;
    code->gather(pl_cuda_stream(), loss->context, &p.tile, states);
  }
  return pl_cuda_check("pair sweep", cudaGetLastError());
}

static pl_status weigh_tiles(device_engine *e, const pl_pair_loss *loss, const pl_pair_code *code,
                             const void *rows, float *dz) {
  const bench *b = e->bench;
  for (int64_t turn = 0; turn < e->part.row_tiles * e->part.col_tiles; turn++) {
    const place p = place_of(e, turn);
    PL_TRY(compare(e, &p, rows));
    if (code)
      code->weigh(pl_cuda_stream(), loss->context, &p.tile, b->row_stats + p.first * loss->stats,
                  b->col_stats + p.tile.first_col * loss->stats, e->part.options.type, b->weights);
    PL_TRY(combine(e, &p, dz));
  }
  return pl_cuda_check("pair sweep", cudaGetLastError());
}

/* ---- the table ---- */

static pl_status find_code(const pl_pair_loss *loss, const pl_pair_code **out) {
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    *out = codes[i];
    if (strcmp(codes[i]->loss, loss->name) == 0) return PL_OK;
  }
  return PL_FAIL(PL_E_USAGE, "the loss %s has no code for CUDA devices; use the processor (cpu)",
                 loss->name);
}

/* With fewer rows waking the threads would take longer than the work. */
enum { ROWS_FOR_TEAM = 1024 };

static void begin_rows(const device_engine *e, const pl_pair_loss *loss) {
  char *states = e->bench->host_states;
#pragma omp parallel for num_threads(pl_threads_count()) if (e->part.local_rows >= ROWS_FOR_TEAM)
  for (int64_t i = 0; i < e->part.local_rows; i++)
    loss->begin(loss->context, states + (size_t)i * loss->state_bytes);
}

static void finish_rows(const device_engine *e, const pl_pair_loss *loss, float *stats,
                        double *figures) {
  const char *states = e->bench->host_states;
#pragma omp parallel for num_threads(pl_threads_count()) if (e->part.local_rows >= ROWS_FOR_TEAM)
  for (int64_t i = 0; i < e->part.local_rows; i++)
    loss->finish(loss->context, states + (size_t)i * loss->state_bytes, stats + i * loss->stats,
                 figures + i * loss->figures);
}

static pl_status statistics(void *state, const pl_pair_loss *loss, float *stats, double *figures) {
  device_engine *e = state;
  const pl_device *device = e->part.options.device;
  const bench *b = e->bench;
  size_t state_bytes = (size_t)e->part.local_rows * loss->state_bytes;
  const pl_pair_code *code;
  const void *rows;
  PL_TRY(find_code(loss, &code));
  PL_TRY(bring(e, &rows));
  begin_rows(e, loss);
  PL_TRY(device->put(b->states, b->host_states, state_bytes));
  PL_TRY(gather_tiles(e, loss, code, rows));
  PL_TRY(device->get(b->host_states, b->states, state_bytes));
  finish_rows(e, loss, stats, figures);
  return PL_OK;
}

static pl_status gradient(void *state, const pl_pair_loss *loss, const float *row_stats,
                          const float *col_stats, float *dz) {
  device_engine *e = state;
  const pl_device *device = e->part.options.device;
  const bench *b = e->bench;
  size_t stat_bytes = (size_t)loss->stats * sizeof *row_stats;
  const pl_pair_code *code;
  const void *rows;
  PL_TRY(find_code(loss, &code));
  if (!code->weigh) return PL_FAIL(PL_E_INTERNAL, "the loss %s has no gradient", loss->name);
  PL_TRY(bring(e, &rows));
  PL_TRY(device->put(b->row_stats, row_stats, (size_t)e->part.local_rows * stat_bytes));
  PL_TRY(device->put(b->col_stats, col_stats, (size_t)e->part.total_rows * stat_bytes));
  return weigh_tiles(e, loss, code, rows, dz);
}

static pl_status products(void *state, float *dz) {
  device_engine *e = state;
  const void *rows;
  PL_TRY(bring(e, &rows));
  PL_TRY(gather_tiles(e, NULL, NULL, rows));
  PL_TRY(weigh_tiles(e, NULL, NULL, rows, dz));
  return e->part.options.device->finish();
}

static const pl_pair_engine engine = {
    .create = create,
    .destroy = destroy,
    .place_columns = place_columns,
    .take = take,
    .statistics = statistics,
    .gradient = gradient,
    .products = products,
    .bytes = bytes,
};

const pl_pair_engine *pl_pair_cuda_engine(void) { return &engine; }
