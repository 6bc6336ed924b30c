#include "losses/pair.h"

#include <string.h>

#include "comm/link.h"
#include "losses/cuda/engine.h"
#include "losses/pair_engine.h"
#include "runtime/base/account.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"

struct pl_pair_sweep {
  pl_comm *comm;
  pl_pair_part part;
  const pl_pair_engine *engine;
  void *tiles;        /* the engine's state */
  bool by_link;       /* columns come from device to device, to the engine's own place */
  float *gathered;    /* (total rows, width) on the host; NULL with one rank or by_link */
  float *stats;       /* (total rows, stats of the loss) */
  double *figures;    /* (local rows, figures of the loss) */
  size_t *part_bytes; /* of each rank, for the gathers */
  size_t bytes;       /* without the engine's */
  double gather_ms;
};

/* ---- making ---- */

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

static const pl_pair_engine *engine_for(const pl_pair_options *options) {
  return pl_pair_on_host(options) ? &pl_pair_host_engine : pl_pair_cuda_engine();
}

static void *count_alloc(pl_pair_sweep *sweep, size_t count, size_t size) {
  sweep->bytes += count * size;
  return pl_alloc(count, size);
}

static pl_status make_gathered(pl_pair_sweep *sweep) {
  size_t elements = (size_t)sweep->part.total_rows * (size_t)sweep->part.options.width;
  sweep->by_link = !pl_pair_on_host(&sweep->part.options) && pl_link_is_open(sweep->comm);
  if (sweep->by_link) return PL_OK;
  sweep->gathered = count_alloc(sweep, elements, sizeof *sweep->gathered);
  return sweep->gathered ? PL_OK : PL_E_INTERNAL;
}

static pl_status make_buffers(pl_pair_sweep *sweep) {
  const pl_pair_part *part = &sweep->part;
  size_t total = (size_t)part->total_rows, local = (size_t)part->local_rows;
  size_t ranks = (size_t)pl_comm_size(sweep->comm);
  sweep->stats = count_alloc(sweep, total * PL_PAIR_MAX_STATS, sizeof *sweep->stats);
  sweep->figures = count_alloc(sweep, local * PL_PAIR_MAX_FIGURES, sizeof *sweep->figures);
  sweep->part_bytes = count_alloc(sweep, ranks, sizeof *sweep->part_bytes);
  if (!sweep->stats || !sweep->figures || !sweep->part_bytes) return PL_E_INTERNAL;
  return ranks > 1 ? make_gathered(sweep) : PL_OK;
}

/* twin: of a mirror, the sweep that it is made for. */
static pl_status make(pl_pair_sweep *sweep, const pl_pair_options *options,
                      const pl_pair_sweep *twin) {
  PL_TRY(check_options(sweep->comm, options));
  sweep->engine = engine_for(options);
  if (!sweep->engine)
    return PL_FAIL(PL_E_USAGE, "pair sweep: this program was built without one for the device %s",
                   options->device->name);
  pl_pair_part_of(options, pl_comm_rank(sweep->comm), pl_comm_size(sweep->comm), &sweep->part);
  PL_TRY(make_buffers(sweep));
  return sweep->engine->create(&sweep->part, twin ? twin->tiles : NULL, &sweep->tiles);
}

static pl_status create(pl_comm *comm, const pl_pair_options *options, const pl_pair_sweep *twin,
                        pl_pair_sweep **out) {
  PL_MEMORY_FOR(PL_MEMORY_LOSS);
  pl_pair_sweep *sweep = pl_alloc(1, sizeof *sweep);
  pl_status status = PL_E_INTERNAL;
  if (sweep) {
    sweep->comm = comm;
    sweep->bytes = sizeof *sweep;
    status = make(sweep, options, twin);
  }
  status = pl_comm_agree(comm, status);
  if (status != PL_OK) pl_pair_sweep_destroy(&sweep);
  *out = sweep;
  return status;
}

pl_status pl_pair_sweep_create(pl_comm *comm, const pl_pair_options *options, pl_pair_sweep **out) {
  const int64_t shapes[] = {options->width,          options->leaf_rows, options->leaves,
                            options->tile_rows,      options->tile_cols, options->type,
                            pl_pair_on_host(options)};
  *out = NULL;
  PL_TRY(pl_comm_agree_same(comm, "the shapes of the pair sweep", shapes, sizeof shapes));
  return create(comm, options, NULL, out);
}

pl_status pl_pair_sweep_create_mirror(const pl_pair_sweep *sweep, pl_pair_sweep **out) {
  return create(sweep->comm, &sweep->part.options, sweep, out);
}

void pl_pair_sweep_destroy(pl_pair_sweep **sweep) {
  pl_pair_sweep *s = *sweep;
  if (!s) return;
  if (s->engine) s->engine->destroy(s->tiles);
  pl_free(s->gathered);
  pl_free(s->stats);
  pl_free(s->figures);
  pl_free(s->part_bytes);
  pl_free(s);
  *sweep = NULL;
}

int64_t pl_pair_first_row(const pl_pair_sweep *sweep) { return sweep->part.first_row; }
int64_t pl_pair_local_rows(const pl_pair_sweep *sweep) { return sweep->part.local_rows; }
int64_t pl_pair_total_rows(const pl_pair_sweep *sweep) { return sweep->part.total_rows; }
const pl_pair_options *pl_pair_shapes(const pl_pair_sweep *sweep) { return &sweep->part.options; }

pl_pair_sent pl_pair_sent_bytes(const pl_pair_sweep *sweep, const pl_pair_loss *loss_kind) {
  size_t copies = (size_t)sweep->part.local_rows * (size_t)(pl_comm_size(sweep->comm) - 1);
  size_t sums = pl_comm_sum_sent_bytes(sweep->comm, (size_t)loss_kind->figures);
  pl_dtype type = sweep->by_link ? sweep->part.options.type : PL_F32;
  return (pl_pair_sent){
      .embeddings = copies * (size_t)sweep->part.options.width * pl_dtype_bytes(type),
      .statistics = copies * (size_t)loss_kind->stats * sizeof *sweep->stats + sums};
}

double pl_pair_gather_ms(const pl_pair_sweep *sweep) { return sweep->gather_ms; }

size_t pl_pair_sweep_bytes(const pl_pair_sweep *sweep) {
  pl_pair_bytes tiles = sweep->engine->bytes(sweep->tiles);
  return sweep->bytes + tiles.host + tiles.device;
}

/* ---- the steps ---- */

/* How much of rows of `row_bytes` bytes each rank has. */
static const size_t *measure_parts(pl_pair_sweep *sweep, size_t row_bytes) {
  int ranks = pl_comm_size(sweep->comm);
  for (int rank = 0; rank < ranks; rank++) {
    int64_t first, count;
    pl_tree_part(sweep->part.options.leaves, ranks, rank, &first, &count);
    sweep->part_bytes[rank] = (size_t)(count * sweep->part.options.leaf_rows) * row_bytes;
  }
  return sweep->part_bytes;
}

/* Gathers rows of `row_bytes` bytes; `all` may hold this rank's part already. */
static pl_status gather_rows(pl_pair_sweep *sweep, const void *mine, void *all, size_t row_bytes) {
  if (pl_comm_size(sweep->comm) == 1) return PL_OK;
  return pl_comm_allgather(sweep->comm, mine, all, measure_parts(sweep, row_bytes));
}

static pl_status gather_by_link(pl_pair_sweep *sweep, const float *columns) {
  void *all;
  size_t row_bytes;
  PL_TRY(sweep->engine->place_columns(sweep->tiles, columns, &all, &row_bytes));
  const char *mine = (const char *)all + (size_t)sweep->part.first_row * row_bytes;
  PL_TRY(pl_link_allgather(sweep->comm, mine, all, measure_parts(sweep, row_bytes)));
  return pl_link_await(sweep->comm);
}

/* Fills `gathered`, or the engine's own place, with everybody's columns. */
static pl_status gather_columns(pl_pair_sweep *sweep, const float *columns) {
  const pl_pair_part *part = &sweep->part;
  size_t row_bytes = (size_t)part->options.width * sizeof *columns;
  if (pl_pair_on_host(&part->options))
    return gather_rows(sweep, columns, sweep->gathered, row_bytes);
  if (sweep->by_link) return gather_by_link(sweep, columns);
  float *mine = sweep->gathered + part->first_row * part->options.width;
  PL_TRY(part->options.device->get(mine, columns, (size_t)part->local_rows * row_bytes));
  return gather_rows(sweep, mine, sweep->gathered, row_bytes);
}

pl_status pl_pair_gather_two(pl_pair_sweep *sweep, const float *rows, const float *columns) {
  double start = pl_now_ms();
  bool gathers = pl_comm_size(sweep->comm) > 1;
  if (gathers) PL_TRY(gather_columns(sweep, columns));
  sweep->gather_ms = pl_now_ms() - start;
  const pl_pair_embeddings embeddings = {.rows = rows,
                                         .given = columns,
                                         .columns = gathers ? sweep->gathered : columns,
                                         .on_host = sweep->gathered};
  sweep->engine->take(sweep->tiles, &embeddings);
  return PL_OK;
}

pl_status pl_pair_gather(pl_pair_sweep *sweep, const float *z) {
  return pl_pair_gather_two(sweep, z, z);
}

/* Sums the local rows' figures: within a leaf in row order, then up the tree. */
static pl_status sum_figures(pl_pair_sweep *sweep, int width, double *total) {
  int leaf_rows = sweep->part.options.leaf_rows;
  int64_t leaves = sweep->part.local_rows / leaf_rows;
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
  float *local_stats = sweep->stats + sweep->part.first_row * loss_kind->stats;
  pl_status status =
      sweep->engine->statistics(sweep->tiles, loss_kind, local_stats, sweep->figures);
  if (status == PL_OK) status = sum_figures(sweep, loss_kind->figures, figures);
  PL_TRY(pl_comm_agree(sweep->comm, status));
  PL_TRY(gather_rows(sweep, local_stats, sweep->stats,
                     (size_t)loss_kind->stats * sizeof *sweep->stats));
  return pl_comm_sum_f64(sweep->comm, figures, (size_t)loss_kind->figures);
}

pl_status pl_pair_gradient_two(pl_pair_sweep *sweep, const pl_pair_loss *loss_kind,
                               const pl_pair_sweep *columns, float *dz) {
  return sweep->engine->gradient(sweep->tiles, loss_kind,
                                 sweep->stats + sweep->part.first_row * loss_kind->stats,
                                 columns->stats, dz);
}

pl_status pl_pair_gradient(pl_pair_sweep *sweep, const pl_pair_loss *loss_kind, float *dz) {
  return pl_pair_gradient_two(sweep, loss_kind, sweep, dz);
}

pl_status pl_pair_products(const pl_pair_sweep *sweep, float *dz) {
  return sweep->engine->products(sweep->tiles, dz);
}
