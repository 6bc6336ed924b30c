#include "models/search.h"

#include <omp.h>
#include <string.h>

#include "losses/tile_product.h"
#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"

enum { TILE_ROWS = 256, TILE_COLS = 256 };
enum { FULL, REST, WIDTHS };

struct pl_search {
  pl_comm *comm;
  int width, most; /* most: neighbours of a query */
  int threads;
  int64_t *key_counts, *query_counts; /* (ranks) */
  size_t *part_bytes;                 /* (ranks), for the gathers */
  int64_t keys;                       /* of all ranks */
  pl_tile_product *product[WIDTHS];   /* for full tiles of keys, and for what is left */
  char *packed;                       /* the key tiles in order */
  float *query_tiles;                 /* (threads, TILE_ROWS, width) */
  float *scores;                      /* (threads, TILE_ROWS, TILE_COLS) */
  pl_neighbour *kept;                 /* (threads, TILE_ROWS, room) */
  size_t room;                        /* for the neighbours of a query */
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- the keys ---- */

static int tile_cols(const pl_search *s, int64_t tile) {
  return (int)smaller(TILE_COLS, s->keys - tile * TILE_COLS);
}

static int64_t tile_count(const pl_search *s) { return (s->keys + TILE_COLS - 1) / TILE_COLS; }

static pl_tile_product *product_of(const pl_search *s, int64_t tile) {
  return s->product[tile_cols(s, tile) == TILE_COLS ? FULL : REST];
}

static char *packed_of(const pl_search *s, int64_t tile) {
  size_t full = s->product[FULL] ? pl_tile_packed_bytes(s->product[FULL]) : 0;
  return s->packed + (size_t)tile * full;
}

static pl_status make_products(pl_search *s) {
  const int cols[WIDTHS] = {
      [FULL] = s->keys >= TILE_COLS ? TILE_COLS : 0, [REST] = (int)(s->keys % TILE_COLS)};
  for (int i = 0; i < WIDTHS; i++) {
    if (cols[i] == 0) continue;
    const pl_tile_spec spec = {.rows = {TILE_ROWS},
                               .inner = s->width,
                               .cols = cols[i],
                               .out_stride = cols[i],
                               .transposed = true,
                               .slots = s->threads};
    PL_TRY(pl_tile_product_create(&spec, &s->product[i]));
  }
  return PL_OK;
}

static pl_status make_buffers(pl_search *s) {
  size_t rows = (size_t)s->threads * TILE_ROWS;
  size_t rest = s->product[REST] ? pl_tile_packed_bytes(s->product[REST]) : 0;
  size_t full = s->product[FULL] ? pl_tile_packed_bytes(s->product[FULL]) : 0;
  s->room = PL_NEAREST_ROOM((size_t)s->most);
  s->packed = pl_alloc((size_t)(s->keys / TILE_COLS) * full + rest, 1);
  s->query_tiles = pl_alloc(rows * (size_t)s->width, sizeof *s->query_tiles);
  s->scores = pl_alloc(rows * TILE_COLS, sizeof *s->scores);
  s->kept = pl_alloc(rows * s->room, sizeof *s->kept);
  return s->packed && s->query_tiles && s->scores && s->kept ? PL_OK : PL_E_INTERNAL;
}

static pl_status pack_keys(pl_search *s, const float *keys) {
  for (int64_t tile = 0; tile < tile_count(s); tile++)
    PL_TRY(pl_tile_pack(product_of(s, tile), 0, keys + tile * TILE_COLS * s->width,
                        packed_of(s, tile)));
  return PL_OK;
}

pl_status pl_search_gather(pl_search *search, const void *mine, void *all, size_t row_bytes) {
  for (int rank = 0; rank < pl_comm_size(search->comm); rank++)
    search->part_bytes[rank] = (size_t)search->key_counts[rank] * row_bytes;
  return pl_comm_allgather(search->comm, mine, all, search->part_bytes);
}

/* Of the gathered keys only the packed form stays. */
static pl_status take_keys(pl_search *s, const float *mine) {
  size_t width = (size_t)s->width;
  float *all = NULL;
  pl_status status = make_products(s);
  if (status == PL_OK) status = make_buffers(s);
  if (status == PL_OK) {
    all = pl_alloc((size_t)s->keys * width, sizeof *all);
    if (!all) status = PL_E_INTERNAL;
  }
  PL_TRY_OR(done, status, pl_comm_agree(s->comm, status));
  if (pl_account_is_planning()) goto done;
  PL_TRY_OR(done, status, pl_search_gather(s, mine, all, width * sizeof *all));
  status = pl_comm_agree(s->comm, pack_keys(s, all));
done:
  pl_free(all);
  return status;
}

/* ---- making ---- */

static pl_status make_counts(pl_search *s) {
  size_t ranks = (size_t)pl_comm_size(s->comm);
  s->key_counts = pl_alloc(ranks, sizeof *s->key_counts);
  s->query_counts = pl_alloc(ranks, sizeof *s->query_counts);
  s->part_bytes = pl_alloc(ranks, sizeof *s->part_bytes);
  return s->key_counts && s->query_counts && s->part_bytes ? PL_OK : PL_E_INTERNAL;
}

static pl_status make(pl_search *s, int k, const float *keys, int64_t count) {
  PL_TRY(pl_comm_agree(s->comm, make_counts(s)));
  PL_TRY(pl_comm_allgather_equal(s->comm, &count, s->key_counts, sizeof count));
  for (int rank = 0; rank < pl_comm_size(s->comm); rank++) s->keys += s->key_counts[rank];
  if (s->keys == 0) return PL_FAIL(PL_E_USAGE, "search: there are no keys");
  s->most = (int)smaller(k, s->keys);
  return take_keys(s, keys);
}

pl_status pl_search_create(pl_comm *comm, int width, int k, const float *keys, int64_t count,
                           pl_search **out) {
  *out = NULL;
  const int agreed[] = {width, k};
  PL_TRY(pl_comm_agree_same(comm, "width and k of the search", agreed, sizeof agreed));
  if (width < 1 || k < 1) return PL_FAIL(PL_E_USAGE, "search: width %d, k %d", width, k);
  pl_search *search = pl_alloc(1, sizeof *search);
  pl_status status = PL_OK;
  PL_TRY_OR(done, status, pl_comm_agree(comm, search ? PL_OK : PL_E_INTERNAL));
  search->comm = comm;
  search->width = width;
  search->threads = pl_threads_count();
  status = make(search, k, keys, count);
done:
  if (status != PL_OK) pl_search_destroy(&search);
  *out = search;
  return status;
}

void pl_search_destroy(pl_search **search) {
  pl_search *s = *search;
  if (!s) return;
  for (int i = 0; i < WIDTHS; i++) pl_tile_product_destroy(&s->product[i]);
  pl_free(s->key_counts);
  pl_free(s->query_counts);
  pl_free(s->part_bytes);
  pl_free(s->packed);
  pl_free(s->query_tiles);
  pl_free(s->scores);
  pl_free(s->kept);
  pl_free(s);
  *search = NULL;
}

int64_t pl_search_keys(const pl_search *search) { return search->keys; }

int pl_search_slots(const pl_search *search) { return search->threads; }

/* ---- the queries ---- */

typedef struct query_run {
  const pl_search *search;
  const float *queries;
  int64_t first, count; /* the local ones in the order of all */
  pl_search_visit visit;
  void *context;
} query_run;

/* Visits those of the TILE_ROWS global queries from `first` on that are local; the others' rows
 * stay zero, so that a query has the same place in a product of the same shape on any rank. */
static pl_status visit_tile(const query_run *run, int slot, int64_t first) {
  const pl_search *s = run->search;
  size_t width = (size_t)s->width;
  float *tile = s->query_tiles + (size_t)slot * TILE_ROWS * width;
  float *scores = s->scores + (size_t)slot * TILE_ROWS * TILE_COLS;
  int64_t local = first - run->first; /* of the tile's first row; may be negative */
  int from = local < 0 ? (int)-local : 0;
  int to = (int)smaller(TILE_ROWS, run->count - local);
  pl_nearest nearest[TILE_ROWS];
  memset(tile, 0, TILE_ROWS * width * sizeof *tile);
  memcpy(tile + (size_t)from * width, run->queries + (local + from) * s->width,
         (size_t)(to - from) * width * sizeof *tile);
  for (int i = from; i < to; i++)
    nearest[i] =
        pl_nearest_start(s->kept + ((size_t)slot * TILE_ROWS + (size_t)i) * s->room, s->most);
  for (int64_t j = 0; j < tile_count(s); j++) {
    int cols = tile_cols(s, j);
    PL_TRY(pl_tile_run(product_of(s, j), slot, TILE_ROWS, tile, packed_of(s, j), scores));
    for (int i = from; i < to; i++)
      pl_nearest_take(&nearest[i], scores + i * cols, cols, j * TILE_COLS);
  }
  for (int i = from; i < to; i++) {
    pl_nearest_sort(&nearest[i]);
    run->visit(run->context, slot, local + i, nearest[i].kept, nearest[i].count);
  }
  return PL_OK;
}

static pl_status visit_all(const query_run *run) {
  pl_reason failure = {.code = PL_OK};
  int64_t first_tile = run->first / TILE_ROWS;
  int64_t end = run->first + run->count;
  int64_t end_tile = run->count > 0 ? (end + TILE_ROWS - 1) / TILE_ROWS : first_tile;
#pragma omp parallel for schedule(dynamic, 1) num_threads(run->search->threads)
  for (int64_t tile = first_tile; tile < end_tile; tile++) {
    if (visit_tile(run, omp_get_thread_num(), tile * TILE_ROWS) != PL_OK) {
#pragma omp critical(search_failure)
      failure = *pl_last_reason();
    }
  }
  return failure.code == PL_OK ? PL_OK : pl_adopt_reason(&failure);
}

pl_status pl_search_run(pl_search *search, const float *queries, int64_t count,
                        pl_search_visit visit, void *context, int64_t *total) {
  query_run run = {.search = search, .queries = queries, .count = count, .visit = visit};
  run.context = context;
  *total = 0;
  PL_TRY(pl_comm_allgather_equal(search->comm, &count, search->query_counts, sizeof count));
  for (int rank = 0; rank < pl_comm_size(search->comm); rank++) {
    if (rank < pl_comm_rank(search->comm)) run.first += search->query_counts[rank];
    *total += search->query_counts[rank];
  }
  if (pl_account_is_planning()) return PL_OK;
  return pl_comm_agree(search->comm, visit_all(&run));
}
