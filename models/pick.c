#include "models/pick.h"

#include <string.h>

#include "runtime/base/memory.h"

struct pl_pick {
  pl_comm *comm;
  int width;
  int64_t *first;    /* (ranks + 1): each rank's first row, and the total */
  size_t *bytes;     /* (ranks): what each sends */
  float *mine, *all; /* (most, width): sent, and gathered rank by rank; not needed on one rank */
  const float **row; /* (most) */
};

static pl_status count_rows(pl_pick *pick, int64_t count) {
  size_t ranks = (size_t)pl_comm_size(pick->comm);
  pick->first = pl_alloc(ranks + 1, sizeof *pick->first);
  pick->bytes = pl_alloc(ranks, sizeof *pick->bytes);
  bool whole = pick->first && pick->bytes;
  PL_TRY(pl_comm_agree(pick->comm, whole ? PL_OK : PL_E_INTERNAL));
  PL_TRY(pl_comm_allgather_equal(pick->comm, &count, pick->first + 1, sizeof count));
  for (size_t r = 0; r < ranks; r++) pick->first[r + 1] += pick->first[r];
  return PL_OK;
}

static pl_status make_room(pl_pick *pick, int64_t most) {
  int64_t total = pl_pick_total(pick);
  size_t rows = (size_t)(most < total ? most : total);
  size_t row_bytes = (size_t)pick->width * sizeof *pick->all;
  pick->row = pl_alloc(rows, sizeof(float *));
  bool whole = pick->row;
  if (pl_comm_size(pick->comm) > 1) {
    pick->mine = pl_alloc(rows, row_bytes);
    pick->all = pl_alloc(rows, row_bytes);
    whole = whole && pick->mine && pick->all;
  }
  return pl_comm_agree(pick->comm, whole ? PL_OK : PL_E_INTERNAL);
}

pl_status pl_pick_create(pl_comm *comm, int64_t count, int width, int64_t most, pl_pick **out) {
  pl_pick *pick = pl_alloc(1, sizeof *pick);
  *out = NULL;
  pl_status status = pl_comm_agree(comm, pick ? PL_OK : PL_E_INTERNAL);
  if (!pick) return status;
  pick->comm = comm;
  pick->width = width;
  if (status == PL_OK) status = count_rows(pick, count);
  if (status == PL_OK) status = make_room(pick, most);
  if (status != PL_OK) pl_pick_destroy(&pick);
  *out = pick;
  return status;
}

void pl_pick_destroy(pl_pick **pick) {
  pl_pick *p = *pick;
  if (!p) return;
  pl_free(p->first);
  pl_free(p->bytes);
  pl_free(p->mine);
  pl_free(p->all);
  pl_free((void *)p->row);
  pl_free(p);
  *pick = NULL;
}

int64_t pl_pick_total(const pl_pick *pick) { return pick->first[pl_comm_size(pick->comm)]; }
int64_t pl_pick_first(const pl_pick *pick) { return pick->first[pl_comm_rank(pick->comm)]; }

static int owner_of(const pl_pick *pick, int64_t index) {
  int low = 0, high = pl_comm_size(pick->comm);
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (index < pick->first[middle])
      high = middle;
    else
      low = middle;
  }
  return low;
}

/* Each rank sends the rows it holds in the order of the indices. So the k-th of a rank's indices is
 * the k-th row of its part, which is where `row` points in the end. */
pl_status pl_pick_rows(pl_pick *pick, const float *local, const uint32_t *index, int64_t n,
                       const float *const **rows) {
  int ranks = pl_comm_size(pick->comm), rank = pl_comm_rank(pick->comm);
  size_t width = (size_t)pick->width;
  *rows = pick->row;
  if (ranks == 1) {
    for (int64_t i = 0; i < n; i++) pick->row[i] = local + index[i] * width;
    return PL_OK;
  }
  memset(pick->bytes, 0, (size_t)ranks * sizeof *pick->bytes);
  for (int64_t i = 0; i < n; i++) {
    int owner = owner_of(pick, index[i]);
    if (owner == rank)
      memcpy((char *)pick->mine + pick->bytes[rank],
             local + (size_t)(index[i] - pick->first[rank]) * width, width * sizeof *local);
    pick->bytes[owner] += width * sizeof *local;
  }
  PL_TRY(pl_comm_allgather(pick->comm, pick->mine, pick->all, pick->bytes));
  size_t start = 0;
  for (int r = 0; r < ranks; r++) { /* from what each sent to where the next of its rows lies */
    size_t bytes = pick->bytes[r];
    pick->bytes[r] = start;
    start += bytes;
  }
  for (int64_t i = 0; i < n; i++) {
    size_t *next = &pick->bytes[owner_of(pick, index[i])];
    pick->row[i] = pick->all + *next / sizeof *pick->all;
    *next += width * sizeof *pick->all;
  }
  return PL_OK;
}

pl_status pl_pick_values(pl_pick *pick, const int32_t *local, int32_t *all) {
  for (int r = 0; r < pl_comm_size(pick->comm); r++)
    pick->bytes[r] = (size_t)(pick->first[r + 1] - pick->first[r]) * sizeof *all;
  return pl_comm_allgather(pick->comm, local, all, pick->bytes);
}
