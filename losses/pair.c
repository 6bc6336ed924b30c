#include "losses/pair.h"

#include <omp.h>
#include <string.h>

#include "losses/pair_columns.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"

/* A tile and the operands of its products stay in a core's second-level cache at widths up to 512.
 */
enum { DEFAULT_TILE_ROWS = 128, DEFAULT_TILE_COLS = 512 };

struct pl_pair_sweep {
  pl_comm *comm;
  pl_pair_options options; /* with the tile that is used */
  int threads;
  int64_t first_row, local_rows, total_rows;
  int leaf_tiles;            /* row tiles per leaf */
  int64_t row_tiles;         /* of this rank */
  pl_pair_columns *packed;   /* columns laid out for the products; a mirror's are its sweep's */
  const pl_pair_sweep *twin; /* of a mirror: the sweep it was made for */
  float *gathered;           /* (total rows, width); NULL with one rank */
  const float *rows;         /* of the last gather */
  const float *columns;      /* of the last gather: (total rows, width) */
  float *stats;              /* (total rows, stats of the loss) */
  double *figures;           /* (local rows, figures of the loss) */
  float *tiles;              /* (threads, tile_rows, tile_cols) */
  char *states;              /* (threads, tile_rows, PL_PAIR_MAX_STATE bytes) */
  size_t *part_bytes;        /* of each rank, for the gathers */
  size_t bytes;
  double gather_ms;
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- shapes ---- */

static pl_status check_options(const pl_comm *comm, const pl_pair_options *options) {
  if (options->width < 1 || options->leaf_rows < 1 || options->leaves < 1 ||
      options->tile_rows < 0 || options->tile_cols < 0)
    return PL_FAIL(PL_E_USAGE, "pair sweep: width %d, %d rows per leaf, %lld leaves, tile %d × %d",
                   options->width, options->leaf_rows, (long long)options->leaves,
                   options->tile_rows, options->tile_cols);
  if (options->leaves < pl_comm_size(comm))
    return PL_FAIL(PL_E_USAGE, "pair sweep: %d ranks for %lld leaves; each rank needs one",
                   pl_comm_size(comm), (long long)options->leaves);
  return PL_OK;
}

/* Leaves are cut into as few row tiles as the largest tile allows, all of about the same height. */
static void set_shapes(pl_pair_sweep *sweep, const pl_pair_options *given) {
  pl_pair_options *options = &sweep->options;
  *options = *given;
  int64_t first_leaf, local_leaves;
  pl_tree_part(options->leaves, pl_comm_size(sweep->comm), pl_comm_rank(sweep->comm), &first_leaf,
               &local_leaves);
  sweep->first_row = first_leaf * options->leaf_rows;
  sweep->local_rows = local_leaves * options->leaf_rows;
  sweep->total_rows = options->leaves * options->leaf_rows;

  int highest = given->tile_rows ? given->tile_rows : DEFAULT_TILE_ROWS;
  sweep->leaf_tiles = (options->leaf_rows - 1) / highest + 1;
  options->tile_rows = (options->leaf_rows - 1) / sweep->leaf_tiles + 1;
  sweep->row_tiles = local_leaves * sweep->leaf_tiles;
  int widest = given->tile_cols ? given->tile_cols : DEFAULT_TILE_COLS;
  options->tile_cols = (int)smaller(widest, sweep->total_rows);
  sweep->threads = pl_threads_count();
}

/* The row tile `index` of this rank, counted from its first row. */
static void row_tile(const pl_pair_sweep *sweep, int64_t index, int64_t *first, int *rows) {
  int leaf_rows = sweep->options.leaf_rows, tile_rows = sweep->options.tile_rows;
  int within = (int)(index % sweep->leaf_tiles) * tile_rows;
  *first = index / sweep->leaf_tiles * leaf_rows + within;
  *rows = (int)smaller(tile_rows, leaf_rows - within);
}

/* ---- making ---- */

static pl_status make_packed(pl_pair_sweep *sweep) {
  const pl_pair_options *options = &sweep->options;
  int last_rows = options->leaf_rows - (sweep->leaf_tiles - 1) * options->tile_rows;
  const pl_pair_columns_spec spec = {
      .width = options->width,
      .total = sweep->total_rows,
      .tile_cols = options->tile_cols,
      .rows = {options->tile_rows, last_rows == options->tile_rows ? 0 : last_rows},
      .slots = sweep->threads,
  };
  PL_TRY(pl_pair_columns_create(&spec, &sweep->packed));
  sweep->bytes += pl_pair_columns_bytes(sweep->packed);
  return PL_OK;
}

static void *count_alloc(pl_pair_sweep *sweep, size_t count, size_t size) {
  sweep->bytes += count * size;
  return pl_alloc(count, size);
}

static pl_status make_buffers(pl_pair_sweep *sweep) {
  const pl_pair_options *options = &sweep->options;
  size_t total = (size_t)sweep->total_rows, threads = (size_t)sweep->threads;
  size_t tile_rows = (size_t)options->tile_rows;
  int ranks = pl_comm_size(sweep->comm);
  sweep->stats = count_alloc(sweep, total * PL_PAIR_MAX_STATS, sizeof *sweep->stats);
  sweep->figures =
      count_alloc(sweep, (size_t)sweep->local_rows * PL_PAIR_MAX_FIGURES, sizeof *sweep->figures);
  sweep->tiles =
      count_alloc(sweep, threads * tile_rows * (size_t)options->tile_cols, sizeof *sweep->tiles);
  sweep->states = count_alloc(sweep, threads * tile_rows, PL_PAIR_MAX_STATE);
  sweep->part_bytes = count_alloc(sweep, (size_t)ranks, sizeof *sweep->part_bytes);
  if (!sweep->stats || !sweep->figures || !sweep->tiles || !sweep->states || !sweep->part_bytes)
    return PL_E_INTERNAL;
  if (ranks > 1) {
    sweep->gathered = count_alloc(sweep, total * (size_t)options->width, sizeof *sweep->gathered);
    if (!sweep->gathered) return PL_E_INTERNAL;
  }
  return PL_OK;
}

static pl_status make(pl_pair_sweep *sweep, const pl_pair_options *options) {
  PL_TRY(check_options(sweep->comm, options));
  set_shapes(sweep, options);
  PL_TRY(make_packed(sweep));
  return make_buffers(sweep);
}

pl_status pl_pair_sweep_create(pl_comm *comm, const pl_pair_options *options, pl_pair_sweep **out) {
  *out = NULL;
  PL_TRY(pl_comm_agree_same(comm, "the shapes of the pair sweep", options, sizeof *options));
  pl_pair_sweep *sweep = pl_alloc(1, sizeof *sweep);
  pl_status status = PL_E_INTERNAL;
  if (sweep) {
    sweep->comm = comm;
    sweep->bytes = sizeof *sweep;
    status = make(sweep, options);
  }
  status = pl_comm_agree(comm, status);
  if (status != PL_OK) pl_pair_sweep_destroy(&sweep);
  *out = sweep;
  return status;
}

pl_status pl_pair_sweep_create_mirror(const pl_pair_sweep *sweep, pl_pair_sweep **out) {
  *out = NULL;
  pl_pair_sweep *mirror = pl_alloc(1, sizeof *mirror);
  pl_status status = PL_E_INTERNAL;
  if (mirror) {
    mirror->comm = sweep->comm;
    mirror->bytes = sizeof *mirror;
    mirror->twin = sweep;
    mirror->packed = sweep->packed;
    set_shapes(mirror, &sweep->options);
    mirror->threads = sweep->threads;
    status = make_buffers(mirror);
  }
  status = pl_comm_agree(sweep->comm, status);
  if (status != PL_OK) pl_pair_sweep_destroy(&mirror);
  *out = mirror;
  return status;
}

void pl_pair_sweep_destroy(pl_pair_sweep **sweep) {
  pl_pair_sweep *s = *sweep;
  if (!s) return;
  if (!s->twin) pl_pair_columns_destroy(&s->packed);
  pl_free(s->gathered);
  pl_free(s->stats);
  pl_free(s->figures);
  pl_free(s->tiles);
  pl_free(s->states);
  pl_free(s->part_bytes);
  pl_free(s);
  *sweep = NULL;
}

int64_t pl_pair_first_row(const pl_pair_sweep *sweep) { return sweep->first_row; }
int64_t pl_pair_local_rows(const pl_pair_sweep *sweep) { return sweep->local_rows; }
int64_t pl_pair_total_rows(const pl_pair_sweep *sweep) { return sweep->total_rows; }
const pl_pair_options *pl_pair_shapes(const pl_pair_sweep *sweep) { return &sweep->options; }
size_t pl_pair_sweep_bytes(const pl_pair_sweep *sweep) { return sweep->bytes; }
double pl_pair_gather_ms(const pl_pair_sweep *sweep) { return sweep->gather_ms; }

/* ---- work of the team ---- */

/* What one call asks of the team, piece by piece. */
typedef struct team_work {
  pl_pair_sweep *sweep;
  const pl_pair_loss *loss;
  const float *col_stats; /* (total rows, stats of the loss) */
  float *dz;
} team_work;

typedef pl_status (*team_piece)(const team_work *work, int slot, int64_t piece);

/* Runs pieces 0 … count-1, each on one thread. Which thread takes which piece changes no bit. The
 * reason of a failure moves from the thread that failed to the calling one. */
static pl_status run_pieces(const team_work *work, team_piece run, int64_t count) {
  pl_reason failure = {.code = PL_OK};
#pragma omp parallel for schedule(dynamic, 1) num_threads(work->sweep->threads)
  for (int64_t piece = 0; piece < count; piece++) {
    if (run(work, omp_get_thread_num(), piece) != PL_OK) {
#pragma omp critical(pair_failure)
      failure = *pl_last_reason();
    }
  }
  return failure.code == PL_OK ? PL_OK : pl_adopt_reason(&failure);
}

static pl_status pack_columns(const team_work *work, int slot, int64_t index) {
  return pl_pair_columns_pack(work->sweep->packed, slot, index, work->sweep->columns);
}

/* Packs the columns unless they are packed already. */
static pl_status take_turn(pl_pair_sweep *sweep) {
  if (pl_pair_columns_named(sweep->packed) == sweep->columns) return PL_OK;
  const team_work work = {.sweep = sweep};
  pl_pair_columns_name(sweep->packed, NULL);
  PL_TRY(run_pieces(&work, pack_columns, pl_pair_columns_tiles(sweep->packed)));
  pl_pair_columns_name(sweep->packed, sweep->columns);
  return PL_OK;
}

/* Similarities of `tile` (its rows and first_row are set) and the column tile `index`. */
static pl_status fill_tile(pl_pair_sweep *sweep, int slot, int64_t index, pl_pair_tile *tile) {
  tile->cols = pl_pair_columns_in(sweep->packed, index);
  tile->stride = tile->cols;
  tile->first_col = index * sweep->options.tile_cols;
  const float *q = sweep->rows + (tile->first_row - sweep->first_row) * sweep->options.width;
  return pl_pair_columns_compare(sweep->packed, slot, index, tile->rows, q, tile->s);
}

static pl_pair_tile start_tile(pl_pair_sweep *sweep, int slot, int64_t index, int64_t *first) {
  pl_pair_tile tile = {0};
  row_tile(sweep, index, first, &tile.rows);
  tile.first_row = sweep->first_row + *first;
  tile.s = sweep->tiles +
           (size_t)slot * (size_t)sweep->options.tile_rows * (size_t)sweep->options.tile_cols;
  return tile;
}

static pl_status gather_row_tile(const team_work *work, int slot, int64_t index) {
  pl_pair_sweep *sweep = work->sweep;
  const pl_pair_loss *loss = work->loss;
  int64_t first;
  pl_pair_tile tile = start_tile(sweep, slot, index, &first);
  char *states =
      sweep->states + (size_t)slot * (size_t)sweep->options.tile_rows * PL_PAIR_MAX_STATE;
  for (int i = 0; i < tile.rows; i++)
    loss->begin(loss->context, states + (size_t)i * loss->state_bytes);
  for (int64_t j = 0; j < pl_pair_columns_tiles(sweep->packed); j++) {
    PL_TRY(fill_tile(sweep, slot, j, &tile));
    loss->gather(loss->context, &tile, states);
  }
  for (int i = 0; i < tile.rows; i++)
    loss->finish(loss->context, states + (size_t)i * loss->state_bytes,
                 sweep->stats + (tile.first_row + i) * loss->stats,
                 sweep->figures + (first + i) * loss->figures);
  return PL_OK;
}

static pl_status weigh_row_tile(const team_work *work, int slot, int64_t index) {
  pl_pair_sweep *sweep = work->sweep;
  const pl_pair_loss *loss = work->loss;
  int width = sweep->options.width;
  int64_t first;
  pl_pair_tile tile = start_tile(sweep, slot, index, &first);
  float *dq = work->dz + first * width;
  memset(dq, 0, (size_t)tile.rows * (size_t)width * sizeof *dq);
  for (int64_t j = 0; j < pl_pair_columns_tiles(sweep->packed); j++) {
    PL_TRY(fill_tile(sweep, slot, j, &tile));
    loss->weigh(loss->context, &tile, sweep->stats + tile.first_row * loss->stats,
                work->col_stats + tile.first_col * loss->stats);
    PL_TRY(pl_pair_columns_combine(sweep->packed, slot, j, tile.rows, tile.s, dq));
  }
  return PL_OK;
}

/* ---- the steps ---- */

/* Gathers rows of `row_bytes` bytes; `all` may hold this rank's part already. */
static pl_status gather_rows(pl_pair_sweep *sweep, const void *mine, void *all, size_t row_bytes) {
  int ranks = pl_comm_size(sweep->comm);
  if (ranks == 1) return PL_OK;
  for (int rank = 0; rank < ranks; rank++) {
    int64_t first, count;
    pl_tree_part(sweep->options.leaves, ranks, rank, &first, &count);
    sweep->part_bytes[rank] = (size_t)(count * sweep->options.leaf_rows) * row_bytes;
  }
  return pl_comm_allgather(sweep->comm, mine, all, sweep->part_bytes);
}

pl_status pl_pair_gather_two(pl_pair_sweep *sweep, const float *rows, const float *columns) {
  double start = pl_now_ms();
  pl_pair_columns_name(sweep->packed, NULL);
  PL_TRY(
      gather_rows(sweep, columns, sweep->gathered, (size_t)sweep->options.width * sizeof *columns));
  sweep->gather_ms = pl_now_ms() - start;
  sweep->rows = rows;
  sweep->columns = sweep->gathered ? sweep->gathered : columns;
  return PL_OK;
}

pl_status pl_pair_gather(pl_pair_sweep *sweep, const float *z) {
  return pl_pair_gather_two(sweep, z, z);
}

/* Sums the local rows' figures: within a leaf in row order, then up the tree. */
static pl_status sum_figures(pl_pair_sweep *sweep, int width, double *total) {
  int leaf_rows = sweep->options.leaf_rows;
  int64_t leaves = sweep->local_rows / leaf_rows;
  double *sums =
      pl_alloc((size_t)pl_tree_depth(leaves, PL_TREE_WHOLE) * (size_t)width, sizeof *sums);
  if (!sums) return PL_E_INTERNAL;
  for (int64_t leaf = 0; leaf < leaves; leaf++) {
    double of_leaf[PL_PAIR_MAX_FIGURES] = {0};
    const double *row = sweep->figures + leaf * leaf_rows * width;
    for (int i = 0; i < leaf_rows; i++)
      for (int k = 0; k < width; k++) of_leaf[k] += *row++;
    pl_tree_push_f64(sums, (size_t)width, leaves, leaf, of_leaf);
  }
  memcpy(total, sums, (size_t)width * sizeof *total);
  pl_free(sums);
  return PL_OK;
}

pl_status pl_pair_statistics(pl_pair_sweep *sweep, const pl_pair_loss *loss_kind, double *figures) {
  PL_INVARIANT(loss_kind->stats <= PL_PAIR_MAX_STATS);
  PL_INVARIANT(loss_kind->figures >= 1 && loss_kind->figures <= PL_PAIR_MAX_FIGURES);
  PL_INVARIANT(loss_kind->state_bytes <= PL_PAIR_MAX_STATE);
  const team_work work = {.sweep = sweep, .loss = loss_kind};
  pl_status status = take_turn(sweep);
  if (status == PL_OK) status = run_pieces(&work, gather_row_tile, sweep->row_tiles);
  if (status == PL_OK) status = sum_figures(sweep, loss_kind->figures, figures);
  PL_TRY(pl_comm_agree(sweep->comm, status));
  PL_TRY(gather_rows(sweep, sweep->stats + sweep->first_row * loss_kind->stats, sweep->stats,
                     (size_t)loss_kind->stats * sizeof *sweep->stats));
  return pl_comm_sum_f64(sweep->comm, figures, (size_t)loss_kind->figures);
}

pl_status pl_pair_gradient_two(pl_pair_sweep *sweep, const pl_pair_loss *loss_kind,
                               const pl_pair_sweep *columns, float *dz) {
  team_work work = {.sweep = sweep, .loss = loss_kind, .col_stats = columns->stats};
  work.dz = dz;
  PL_TRY(take_turn(sweep));
  return run_pieces(&work, weigh_row_tile, sweep->row_tiles);
}

pl_status pl_pair_gradient(pl_pair_sweep *sweep, const pl_pair_loss *loss_kind, float *dz) {
  return pl_pair_gradient_two(sweep, loss_kind, sweep, dz);
}
