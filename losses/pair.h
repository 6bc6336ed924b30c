/* The pair sweep: losses over all pairs of rows and columns of a global batch, tile by tile.
 *
 * Rows Q (n, d) are this rank's embeddings; columns K (m, d) are those of the whole batch, in
 * global order: of the same kind as the rows (views of images), or of another (texts, to rows that
 * are images). Where the kinds differ there are two sweeps, each the other's mirror: the rows of
 * one are the columns of the other. Similarities s = q·k are computed tile by tile, used, and
 * forgotten; nothing of size n × m exists. Sweep 1 gathers a few numbers per row. These row
 * statistics are all-gathered. Sweep 2 computes each tile again and turns it into weights W[i,j] =
 * ∂L/∂s[i,j] + ∂L/∂s[j,i], which needs only s[i,j] and the statistics of i and j; then dQ = W K is
 * the complete gradient.
 *
 * Bitwise independence of ranks and threads: rows are cut into tiles within each leaf of
 * `leaf_rows` rows, and columns at multiples of `tile_cols` of the global order, so that every tile
 * product has the same shape wherever it is computed; one thread computes all of a row tile, and
 * sums over columns go in global order.
 *
 * Tiles are computed by the threads of the processor (losses/pair_host.c) or on a device
 * (losses/cuda). Embeddings and their gradients are memory of the device: with one rank, or
 * a link between the ranks' devices (comm/link.h), they never pass through the host. */
#ifndef LOSSES_PAIR_H
#define LOSSES_PAIR_H

#include <stdint.h>

#include "comm/comm.h"
#include "losses/pair_tile.h"
#include "runtime/tensor/device.h"
#include "runtime/tensor/dtype.h"

/* A pairwise loss. Functions are called from several threads at once, on different rows. On a
 * device `gather` and `weigh` are those that losses/cuda has for the name; they read the same
 * context and write the same state. */
typedef struct pl_pair_loss {
  const char *name;
  int stats;   /* floats of statistics per row, at most PL_PAIR_MAX_STATS */
  int figures; /* doubles per row that are summed over the batch, 1 … PL_PAIR_MAX_FIGURES */
  size_t state_bytes; /* running state of a row while sweep 1 passes over the columns, at
                       * most PL_PAIR_MAX_STATE */
  const void *context;
  /* Prepares one row's state. */
  void (*begin)(const void *context, void *state);
  /* Takes in a tile; states: one of state_bytes per tile row. Tiles of a row come in order of
   * columns. May overwrite tile->s. */
  void (*gather)(const void *context, const pl_pair_tile *tile, void *states);
  /* Turns a finished state into the row's statistics and figures; the first figure is its loss. */
  void (*finish)(const void *context, const void *state, float *stats, double *figures);
  /* Replaces tile->s by weights. row_stats: (tile rows, stats); col_stats: (tile cols, stats). */
  void (*weigh)(const void *context, const pl_pair_tile *tile, const float *row_stats,
                const float *col_stats);
} pl_pair_loss;

/* Shapes of a sweep, fixed by the configuration and never by the number of ranks, and what computes
 * it. */
typedef struct pl_pair_options {
  const pl_device *device;  /* what computes the tiles, and whose memory embeddings and gradients
                               are; NULL: the processor */
  pl_dtype type;            /* on a device, what tile products multiply: PL_F32, or PL_BF16, to
                               which embeddings and weights are then rounded; sums are f32. The
                               processor takes f32 whatever is said here */
  int width;                /* d */
  int leaf_rows;            /* rows per leaf */
  int64_t leaves;           /* of the global batch: the batch has leaves * leaf_rows rows */
  int tile_rows, tile_cols; /* largest tile; 0 for the default */
} pl_pair_options;

typedef struct pl_pair_sweep pl_pair_sweep;

/* Makes the tile kernels and buffers: room for the gathered embeddings (with more than one rank,
 * but where devices have a link, which is to be open before) and statistics; on the processor two
 * copies of the embeddings laid out for the products, and a few tiles per thread of the compute
 * team, whose size is taken now; on a device one copy of the embeddings, in the type of the
 * products, and a tile. comm and the device must outlive the sweep. PL_E_USAGE for shapes below 1,
 * more ranks than leaves, or a device that has no sweep. Collective; options must match on all
 * ranks. */
pl_status pl_pair_sweep_create(pl_comm *comm, const pl_pair_options *options, pl_pair_sweep **out);
void pl_pair_sweep_destroy(pl_pair_sweep **sweep);

/* Makes the mirror of a sweep, at most one: the same shapes, rows where that has columns. On the
 * processor the two take turns in one copy of the columns laid out for the products: a step of the
 * one after a step of the other lays them out anew (work of the order of batch × width). On a
 * device they share all but their columns. sweep must outlive the mirror. Collective. */
pl_status pl_pair_sweep_create_mirror(const pl_pair_sweep *sweep, pl_pair_sweep **out);

/* Row i of this rank is global row pl_pair_first_row() + i. */
int64_t pl_pair_first_row(const pl_pair_sweep *sweep);
int64_t pl_pair_local_rows(const pl_pair_sweep *sweep);
int64_t pl_pair_total_rows(const pl_pair_sweep *sweep);
/* The shapes in use, with the tile that was chosen. Valid as long as the sweep. */
const pl_pair_options *pl_pair_shapes(const pl_pair_sweep *sweep);

/* Gathers z (local rows, width) from all ranks: the columns, until the next gather. z itself is
 * read too and must stay as it is until the sweep's last use of it. Collective. */
pl_status pl_pair_gather(pl_pair_sweep *sweep, const float *z);

/* The same with columns of another kind: `columns` (local rows, width) is gathered, the rows are
 * `rows`, which the mirror gathers as its columns before either is used; both must stay as they
 * are. Collective. */
pl_status pl_pair_gather_two(pl_pair_sweep *sweep, const float *rows, const float *columns);

/* Sweep 1 over the local rows and all columns, then gathers the statistics. figures[0 …
 * loss_kind->figures) get the sums of the rows' figures over the global batch, added in row order
 * within a leaf and then up the batch tree: the same on all ranks. PL_E_USAGE for a loss that has
 * no code for the device. Collective. */
pl_status pl_pair_statistics(pl_pair_sweep *sweep, const pl_pair_loss *loss_kind, double *figures);

/* Sweep 2: dz (local rows, width) = gradient of the loss with respect to z. Must follow
 * pl_pair_statistics with the same loss. dz may not overlap z. Not collective. */
pl_status pl_pair_gradient(pl_pair_sweep *sweep, const pl_pair_loss *loss_kind, float *dz);

/* Sweep 2 where columns are of another kind: their statistics are the row statistics of the mirror
 * `columns`, whose pl_pair_statistics came before. pl_pair_loss.weigh then gets, for row i and
 * column j, ∂L/∂s[i,j] to compute from both. Not collective. */
pl_status pl_pair_gradient_two(pl_pair_sweep *sweep, const pl_pair_loss *loss_kind,
                               const pl_pair_sweep *columns, float *dz);

/* Bytes held by the sweep, the host's and the device's; of a mirror, without what it shares. */
size_t pl_pair_sweep_bytes(const pl_pair_sweep *sweep);

/* The products of a sweep alone: all those that statistics and gradient take for the local rows,
 * with what was gathered last. For measurements: what they leave in dz (local rows, width) means
 * nothing. Not collective. */
pl_status pl_pair_products(const pl_pair_sweep *sweep, float *dz);

/* Bytes that this rank sends in a step: in one gather of columns, and in pl_pair_statistics. */
typedef struct pl_pair_sent {
  size_t embeddings, statistics;
} pl_pair_sent;

pl_pair_sent pl_pair_sent_bytes(const pl_pair_sweep *sweep, const pl_pair_loss *loss_kind);

/* Milliseconds of the last gather (exchange only). */
double pl_pair_gather_ms(const pl_pair_sweep *sweep);

#endif
