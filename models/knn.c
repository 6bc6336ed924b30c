#include "models/knn.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "losses/tile_product.h"
#include "models/nearest.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"

enum { TILE_ROWS = 256, TILE_COLS = 256 };
enum { FULL, REST, WIDTHS };

typedef struct knn {
  pl_comm *comm;
  const pl_knn_options *options;
  const pl_knn_rows *queries;
  int32_t *predictions;
  int64_t first_query; /* global index of the first local query */
  int64_t bank_rows;   /* of all ranks */
  int threads;
  pl_tile_product *product[WIDTHS]; /* for full tiles of the bank, and for what is left */
  char *packed;                     /* the bank's tiles in order */
  int32_t *labels;                  /* (bank_rows) */
  float *query_tiles;               /* (threads, TILE_ROWS, width) */
  float *scores;                    /* (threads, TILE_ROWS, TILE_COLS) */
  pl_neighbour *kept;               /* (threads, TILE_ROWS, room) */
  size_t room;                      /* for the neighbours of a query */
  double *votes;                    /* (threads, classes) */
} knn;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- checks ---- */

static pl_status check_labels(const char *what, const pl_knn_rows *rows, int classes) {
  for (int64_t i = 0; i < rows->count; i++)
    if (rows->labels[i] < 0 || rows->labels[i] >= classes)
      return PL_FAIL(PL_E_USAGE, "knn: %s row %lld has label %d, not in 0 … %d", what, (long long)i,
                     (int)rows->labels[i], classes - 1);
  return PL_OK;
}

static pl_status check_input(const pl_knn_options *options, const pl_knn_rows *bank,
                             const pl_knn_rows *queries) {
  if (options->width < 1 || options->classes < 1 || options->k < 1 || !(options->temperature > 0) ||
      !isfinite(options->temperature))
    return PL_FAIL(PL_E_USAGE, "knn: width %d, %d classes, k %d, temperature %g", options->width,
                   options->classes, options->k, options->temperature);
  PL_TRY(check_labels("bank", bank, options->classes));
  return check_labels("query", queries, options->classes);
}

/* ---- the bank ---- */

/* Gathers rows of row_bytes bytes from all ranks, of which rank r has counts[2 * r]. */
static pl_status gather_bank(pl_comm *comm, const int64_t *counts, const void *mine, void *all,
                             size_t row_bytes) {
  size_t ranks = (size_t)pl_comm_size(comm);
  size_t *bytes = pl_alloc(ranks, sizeof *bytes);
  PL_TRY(pl_comm_agree(comm, bytes ? PL_OK : PL_E_INTERNAL));
  for (size_t rank = 0; rank < ranks; rank++) bytes[rank] = (size_t)counts[2 * rank] * row_bytes;
  pl_status status = pl_comm_allgather(comm, mine, all, bytes);
  pl_free(bytes);
  return status;
}

static int tile_cols(const knn *k, int64_t tile) {
  return (int)smaller(TILE_COLS, k->bank_rows - tile * TILE_COLS);
}

static int64_t tile_count(const knn *k) { return (k->bank_rows + TILE_COLS - 1) / TILE_COLS; }

static pl_tile_product *product_of(const knn *k, int64_t tile) {
  return k->product[tile_cols(k, tile) == TILE_COLS ? FULL : REST];
}

static char *packed_of(const knn *k, int64_t tile) {
  size_t full = k->product[FULL] ? pl_tile_packed_bytes(k->product[FULL]) : 0;
  return k->packed + (size_t)tile * full;
}

static pl_status make_products(knn *k) {
  const int cols[WIDTHS] = {
      [FULL] = k->bank_rows >= TILE_COLS ? TILE_COLS : 0, [REST] = (int)(k->bank_rows % TILE_COLS)};
  for (int i = 0; i < WIDTHS; i++) {
    if (cols[i] == 0) continue;
    const pl_tile_spec spec = {.rows = {TILE_ROWS},
                               .inner = k->options->width,
                               .cols = cols[i],
                               .out_stride = cols[i],
                               .transposed = true,
                               .slots = k->threads};
    PL_TRY(pl_tile_product_create(&spec, &k->product[i]));
  }
  return PL_OK;
}

static pl_status make_buffers(knn *k) {
  size_t tile_rows = (size_t)k->threads * TILE_ROWS;
  size_t rest = k->product[REST] ? pl_tile_packed_bytes(k->product[REST]) : 0;
  size_t packed = (size_t)(packed_of(k, k->bank_rows / TILE_COLS) - k->packed) + rest;
  k->packed = pl_alloc(packed, 1);
  k->labels = pl_alloc((size_t)k->bank_rows, sizeof *k->labels);
  k->query_tiles = pl_alloc(tile_rows * (size_t)k->options->width, sizeof *k->query_tiles);
  k->scores = pl_alloc(tile_rows * TILE_COLS, sizeof *k->scores);
  k->room = PL_NEAREST_ROOM((size_t)smaller(k->options->k, k->bank_rows));
  k->kept = pl_alloc(tile_rows * k->room, sizeof *k->kept);
  k->votes = pl_alloc((size_t)k->threads * (size_t)k->options->classes, sizeof *k->votes);
  return k->packed && k->labels && k->query_tiles && k->scores && k->kept && k->votes
             ? PL_OK
             : PL_E_INTERNAL;
}

static pl_status pack_bank(knn *k, const float *bank) {
  for (int64_t tile = 0; tile < tile_count(k); tile++)
    PL_TRY(pl_tile_pack(product_of(k, tile), 0, bank + tile * TILE_COLS * k->options->width,
                        packed_of(k, tile)));
  return PL_OK;
}

/* Gathers features and labels; of the features only the packed form stays. */
static pl_status take_bank(knn *k, const pl_knn_rows *bank, const int64_t *counts) {
  size_t width = (size_t)k->options->width;
  float *features = NULL;
  pl_status status = make_products(k);
  if (status == PL_OK) status = make_buffers(k);
  if (status == PL_OK) {
    features = pl_alloc((size_t)k->bank_rows * width, sizeof *features);
    if (!features) status = PL_E_INTERNAL;
  }
  PL_TRY_OR(done, status, pl_comm_agree(k->comm, status));
  PL_TRY_OR(done, status,
            gather_bank(k->comm, counts, bank->features, features, width * sizeof *features));
  PL_TRY_OR(done, status, gather_bank(k->comm, counts, bank->labels, k->labels, sizeof *k->labels));
  status = pl_comm_agree(k->comm, pack_bank(k, features));
done:
  pl_free(features);
  return status;
}

/* ---- the queries ---- */

static int32_t vote(const knn *k, const pl_nearest *nearest, double *votes) {
  if (nearest->count == 0) return -1;
  memset(votes, 0, (size_t)k->options->classes * sizeof *votes);
  double best_score = nearest->kept[0].score;
  for (int i = 0; i < nearest->count; i++)
    votes[k->labels[nearest->kept[i].index]] +=
        exp((nearest->kept[i].score - best_score) / k->options->temperature);
  int32_t best = 0;
  for (int32_t class = 1; class < k->options->classes; class ++)
    if (votes[class] > votes[best]) best = class;
  return best;
}

/* Classifies those of the TILE_ROWS global queries from `first` on that are local; the others' rows
 * stay zero, so that a query has the same place in a product of the same shape on any rank. */
static pl_status classify_tile(const knn *k, int slot, int64_t first, int64_t *right) {
  int most = (int)smaller(k->options->k, k->bank_rows), width = k->options->width;
  float *tile = k->query_tiles + (size_t)slot * TILE_ROWS * (size_t)width;
  float *scores = k->scores + (size_t)slot * TILE_ROWS * TILE_COLS;
  int64_t local = first - k->first_query; /* of the tile's first row; may be negative */
  int from = local < 0 ? (int)-local : 0;
  int to = (int)smaller(TILE_ROWS, k->queries->count - local);
  pl_nearest nearest[TILE_ROWS];
  memset(tile, 0, TILE_ROWS * (size_t)width * sizeof *tile);
  memcpy(tile + from * width, k->queries->features + (local + from) * width,
         (size_t)(to - from) * (size_t)width * sizeof *tile);
  for (int i = from; i < to; i++)
    nearest[i] = pl_nearest_start(k->kept + ((size_t)slot * TILE_ROWS + (size_t)i) * k->room, most);
  for (int64_t j = 0; j < tile_count(k); j++) {
    int cols = tile_cols(k, j);
    PL_TRY(pl_tile_run(product_of(k, j), slot, TILE_ROWS, tile, packed_of(k, j), scores));
    for (int i = from; i < to; i++)
      pl_nearest_take(&nearest[i], scores + i * cols, cols, j * TILE_COLS);
  }
  for (int i = from; i < to; i++) {
    pl_nearest_sort(&nearest[i]);
    int32_t found = vote(k, &nearest[i], k->votes + (size_t)slot * (size_t)k->options->classes);
    *right += found == k->queries->labels[local + i];
    if (k->predictions) k->predictions[local + i] = found;
  }
  return PL_OK;
}

static pl_status classify_all(const knn *k, int64_t *total) {
  pl_reason failure = {.code = PL_OK};
  int64_t right = 0;
  int64_t end = k->first_query + k->queries->count;
  int64_t first_tile = k->first_query / TILE_ROWS;
  int64_t end_tile = k->queries->count > 0 ? (end + TILE_ROWS - 1) / TILE_ROWS : first_tile;
#pragma omp parallel for schedule(dynamic, 1) num_threads(k->threads) reduction(+ : right)
  for (int64_t tile = first_tile; tile < end_tile; tile++) {
    if (classify_tile(k, omp_get_thread_num(), tile * TILE_ROWS, &right) != PL_OK) {
#pragma omp critical(knn_failure)
      failure = *pl_last_reason();
    }
  }
  *total = right;
  return failure.code == PL_OK ? PL_OK : pl_adopt_reason(&failure);
}

/* ---- the whole ---- */

/* counts: (ranks, 2), bank and query rows of each. */
static pl_status run(knn *k, const pl_knn_rows *bank, int64_t *counts, int64_t *right) {
  const int64_t mine[2] = {bank->count, k->queries->count};
  PL_TRY(pl_comm_allgather_equal(k->comm, mine, counts, sizeof mine));
  for (int rank = 0; rank < pl_comm_size(k->comm); rank++) {
    k->bank_rows += counts[2 * rank];
    if (rank < pl_comm_rank(k->comm)) k->first_query += counts[2 * rank + 1];
  }
  if (k->bank_rows == 0) return PL_FAIL(PL_E_USAGE, "knn: the bank is empty");
  PL_TRY(take_bank(k, bank, counts));
  int64_t local = 0;
  PL_TRY(pl_comm_agree(k->comm, classify_all(k, &local)));
  double total = (double)local; /* whole numbers: exact in any order */
  PL_TRY(pl_comm_sum_f64(k->comm, &total, 1));
  *right = (int64_t)total;
  return PL_OK;
}

pl_status pl_knn_classify(pl_comm *comm, const pl_knn_options *options, const pl_knn_rows *bank,
                          const pl_knn_rows *queries, int32_t *predictions, int64_t *right) {
  knn k = {.comm = comm, .options = options, .queries = queries, .threads = pl_threads_count()};
  k.predictions = predictions;
  const double agreed[] = {options->width, options->classes, options->k, options->temperature};
  PL_TRY(pl_comm_agree_same(comm, "the options of knn", agreed, sizeof agreed));
  PL_TRY(pl_comm_agree(comm, check_input(options, bank, queries)));
  int64_t *counts = pl_alloc(2 * (size_t)pl_comm_size(comm), sizeof *counts);
  pl_status status = pl_comm_agree(comm, counts ? PL_OK : PL_E_INTERNAL);
  if (counts && status == PL_OK) status = run(&k, bank, counts, right);
  for (int i = 0; i < WIDTHS; i++) pl_tile_product_destroy(&k.product[i]);
  pl_free(counts);
  pl_free(k.packed);
  pl_free(k.labels);
  pl_free(k.query_tiles);
  pl_free(k.scores);
  pl_free(k.kept);
  pl_free(k.votes);
  return status;
}
