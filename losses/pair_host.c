/* The pair sweep on the processor: row tiles are shared out among the threads of the compute team.
 */
#include <omp.h>
#include <string.h>

#include "losses/pair_columns.h"
#include "losses/pair_engine.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"

typedef struct host_engine {
  pl_pair_part part;
  int threads;
  pl_pair_columns *packed; /* columns laid out for the products; a mirror's are its sweep's */
  bool is_mirror;
  pl_pair_embeddings now;
  float *tiles; /* (threads, tile_rows, tile_cols) */
  char *states; /* (threads, tile_rows, PL_PAIR_MAX_STATE bytes) */
  size_t bytes;
} host_engine;

/* ---- making ---- */

static pl_status make_packed(host_engine *e) {
  const pl_pair_part *part = &e->part;
  int tile_rows = part->options.tile_rows, last_rows = pl_pair_last_rows(part);
  const pl_pair_columns_spec spec = {
      .width = part->options.width,
      .total = part->total_rows,
      .tile_cols = part->options.tile_cols,
      .rows = {tile_rows, last_rows == tile_rows ? 0 : last_rows},
      .slots = e->threads,
  };
  PL_TRY(pl_pair_columns_create(&spec, &e->packed));
  e->bytes += pl_pair_columns_bytes(e->packed);
  return PL_OK;
}

static void *count_alloc(host_engine *e, size_t count, size_t size) {
  e->bytes += count * size;
  return pl_alloc(count, size);
}

static pl_status make_buffers(host_engine *e) {
  const pl_pair_options *options = &e->part.options;
  size_t rows = (size_t)e->threads * (size_t)options->tile_rows;
  e->tiles = count_alloc(e, rows * (size_t)options->tile_cols, sizeof *e->tiles);
  e->states = count_alloc(e, rows, PL_PAIR_MAX_STATE);
  return e->tiles && e->states ? PL_OK : PL_E_INTERNAL;
}

static void destroy(void *state) {
  host_engine *e = state;
  if (!e) return;
  if (!e->is_mirror) pl_pair_columns_destroy(&e->packed);
  pl_free(e->tiles);
  pl_free(e->states);
  pl_free(e);
}

static pl_status create(const pl_pair_part *part, void *twin, void **state) {
  const host_engine *sweep = twin;
  pl_status status = PL_OK;
  host_engine *e = pl_alloc(1, sizeof *e);
  if (!e) return PL_E_INTERNAL;
  e->part = *part;
  e->is_mirror = sweep;
  e->threads = sweep ? sweep->threads : pl_threads_count();
  e->packed = sweep ? sweep->packed : NULL;
  e->bytes = sizeof *e;
  if (!sweep) PL_TRY_OR(failed, status, make_packed(e));
  PL_TRY_OR(failed, status, make_buffers(e));
  *state = e;
  return PL_OK;
failed:
  destroy(e);
  return status;
}

static pl_pair_bytes bytes(const void *state) {
  const host_engine *e = state;
  return (pl_pair_bytes){.host = e->bytes};
}

static void take(void *state, const pl_pair_embeddings *embeddings) {
  host_engine *e = state;
  e->now = *embeddings;
  pl_pair_columns_name(e->packed, NULL);
}

/* ---- work of the team ---- */

/* What one call asks of the team, piece by piece. */
typedef struct team_work {
  host_engine *engine;
  const pl_pair_loss *loss;
  float *stats;    /* (local rows, stats of the loss); written by sweep 1 */
  double *figures; /* (local rows, figures of the loss) */
  const float *row_stats, *col_stats;
  float *dz;
} team_work;

typedef pl_status (*team_piece)(const team_work *work, int slot, int64_t piece);

/* Runs pieces 0 … count-1, each on one thread. Which thread takes which piece changes no bit. The
 * reason of a failure moves from the thread that failed to the calling one. */
static pl_status run_pieces(const team_work *work, team_piece run, int64_t count) {
  pl_reason failure = {.code = PL_OK};
#pragma omp parallel for schedule(dynamic, 1) num_threads(work->engine->threads)
  for (int64_t piece = 0; piece < count; piece++) {
    if (run(work, omp_get_thread_num(), piece) != PL_OK) {
#pragma omp critical(pair_failure)
      failure = *pl_last_reason();
    }
  }
  return failure.code == PL_OK ? PL_OK : pl_adopt_reason(&failure);
}

static pl_status pack_columns(const team_work *work, int slot, int64_t index) {
  return pl_pair_columns_pack(work->engine->packed, slot, index, work->engine->now.columns);
}

/* Packs the columns unless they are packed already. */
static pl_status take_turn(host_engine *e) {
  if (pl_pair_columns_named(e->packed) == e->now.columns) return PL_OK;
  const team_work work = {.engine = e};
  pl_pair_columns_name(e->packed, NULL);
  PL_TRY(run_pieces(&work, pack_columns, e->part.col_tiles));
  pl_pair_columns_name(e->packed, e->now.columns);
  return PL_OK;
}

/* The tile of row tile `index`, of which fill_tile makes one column tile after another. */
static pl_pair_tile start_tile(host_engine *e, int slot, int64_t index, int64_t *first) {
  const pl_pair_options *options = &e->part.options;
  pl_pair_tile tile = {0};
  pl_pair_row_tile(&e->part, index, first, &tile.rows);
  tile.first_row = e->part.first_row + *first;
  tile.s = e->tiles + (size_t)slot * (size_t)options->tile_rows * (size_t)options->tile_cols;
  return tile;
}

/* Similarities of `tile` and the column tile `index`. */
static pl_status fill_tile(host_engine *e, int slot, int64_t index, pl_pair_tile *tile) {
  tile->cols = pl_pair_columns_in(e->packed, index);
  tile->stride = tile->cols;
  tile->first_col = index * e->part.options.tile_cols;
  const float *q = e->now.rows + (tile->first_row - e->part.first_row) * e->part.options.width;
  return pl_pair_columns_compare(e->packed, slot, index, tile->rows, q, tile->s);
}

static pl_status gather_row_tile(const team_work *work, int slot, int64_t index) {
  host_engine *e = work->engine;
  const pl_pair_loss *loss = work->loss;
  int64_t first;
  pl_pair_tile tile = start_tile(e, slot, index, &first);
  char *states = e->states + (size_t)slot * (size_t)e->part.options.tile_rows * PL_PAIR_MAX_STATE;
  for (int i = 0; i < tile.rows; i++)
    loss->begin(loss->context, states + (size_t)i * loss->state_bytes);
  for (int64_t j = 0; j < e->part.col_tiles; j++) {
    PL_TRY(fill_tile(e, slot, j, &tile));
    loss->gather(loss->context, &tile, states);
  }
  for (int i = 0; i < tile.rows; i++)
    loss->finish(loss->context, states + (size_t)i * loss->state_bytes,
                 work->stats + (first + i) * loss->stats,
                 work->figures + (first + i) * loss->figures);
  return PL_OK;
}

static pl_status weigh_row_tile(const team_work *work, int slot, int64_t index) {
  host_engine *e = work->engine;
  const pl_pair_loss *loss = work->loss;
  int width = e->part.options.width;
  int64_t first;
  pl_pair_tile tile = start_tile(e, slot, index, &first);
  float *dq = work->dz + first * width;
  memset(dq, 0, (size_t)tile.rows * (size_t)width * sizeof *dq);
  for (int64_t j = 0; j < e->part.col_tiles; j++) {
    PL_TRY(fill_tile(e, slot, j, &tile));
    loss->weigh(loss->context, &tile, work->row_stats + first * loss->stats,
                work->col_stats + tile.first_col * loss->stats);
    PL_TRY(pl_pair_columns_combine(e->packed, slot, j, tile.rows, tile.s, dq));
  }
  return PL_OK;
}

/* Both sweeps of a row tile without what lies between the products. */
static pl_status multiply_row_tile(const team_work *work, int slot, int64_t index) {
  host_engine *e = work->engine;
  int64_t first;
  pl_pair_tile tile = start_tile(e, slot, index, &first);
  float *dq = work->dz + first * e->part.options.width;
  for (int64_t j = 0; j < e->part.col_tiles; j++) PL_TRY(fill_tile(e, slot, j, &tile));
  for (int64_t j = 0; j < e->part.col_tiles; j++) {
    PL_TRY(fill_tile(e, slot, j, &tile));
    PL_TRY(pl_pair_columns_combine(e->packed, slot, j, tile.rows, tile.s, dq));
  }
  return PL_OK;
}

/* ---- the table ---- */

static pl_status statistics(void *state, const pl_pair_loss *loss, float *stats, double *figures) {
  host_engine *e = state;
  team_work work = {.engine = e, .loss = loss};
  work.stats = stats;
  work.figures = figures;
  PL_TRY(take_turn(e));
  return run_pieces(&work, gather_row_tile, e->part.row_tiles);
}

static pl_status gradient(void *state, const pl_pair_loss *loss, const float *row_stats,
                          const float *col_stats, float *dz) {
  host_engine *e = state;
  team_work work = {.engine = e, .loss = loss, .row_stats = row_stats, .col_stats = col_stats};
  work.dz = dz;
  PL_TRY(take_turn(e));
  return run_pieces(&work, weigh_row_tile, e->part.row_tiles);
}

static pl_status products(void *state, float *dz) {
  host_engine *e = state;
  team_work work = {.engine = e};
  work.dz = dz;
  PL_TRY(take_turn(e));
  return run_pieces(&work, multiply_row_tile, e->part.row_tiles);
}

const pl_pair_engine pl_pair_host_engine = {
    .create = create,
    .destroy = destroy,
    .take = take,
    .statistics = statistics,
    .gradient = gradient,
    .products = products,
    .bytes = bytes,
};
