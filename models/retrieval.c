#include "models/retrieval.h"

#include "models/search.h"
#include "runtime/base/memory.h"

/* Past every cut. */
enum { NOT_FOUND = INT32_MAX };

typedef struct retrieval {
  const int64_t *query_group; /* of the local queries */
  int64_t *key_group;         /* of all keys */
  int32_t *place;             /* (local queries): of the first right key, from 0, or NOT_FOUND */
} retrieval;

static void find_place(void *context, int slot, int64_t query, const pl_neighbour *nearest,
                       int count) {
  retrieval *r = context;
  (void)slot;
  r->place[query] = NOT_FOUND;
  for (int i = count - 1; i >= 0; i--)
    if (r->key_group[nearest[i].index] == r->query_group[query]) r->place[query] = i;
}

/* *most: the last cut. */
static pl_status check_cuts(const int cut[PL_RETRIEVAL_CUTS], int *most) {
  *most = 0;
  for (int i = 0; i < PL_RETRIEVAL_CUTS && cut[i] != 0; i++) {
    if (cut[i] <= *most)
      return PL_FAIL(PL_E_USAGE, "retrieval: cut %d after %d; cuts must ascend", cut[i], *most);
    *most = cut[i];
  }
  return *most > 0 ? PL_OK : PL_FAIL(PL_E_USAGE, "retrieval: no cut is given");
}

/* Adds up over ranks: whole numbers, exact in any order. */
static pl_status count_found(pl_comm *comm, const retrieval *r, int64_t queries,
                             const int cut[PL_RETRIEVAL_CUTS], int64_t found[PL_RETRIEVAL_CUTS]) {
  double sums[PL_RETRIEVAL_CUTS] = {0};
  for (int64_t i = 0; i < queries; i++)
    for (int k = 0; k < PL_RETRIEVAL_CUTS; k++) sums[k] += r->place[i] < cut[k];
  PL_TRY(pl_comm_sum_f64(comm, sums, PL_RETRIEVAL_CUTS));
  for (int k = 0; k < PL_RETRIEVAL_CUTS; k++) found[k] = (int64_t)sums[k];
  return PL_OK;
}

pl_status pl_retrieve(pl_comm *comm, int width, const pl_retrieval_rows *queries,
                      const pl_retrieval_rows *keys, const int cut[PL_RETRIEVAL_CUTS],
                      pl_retrieval_result *result) {
  int most;
  retrieval r = {.query_group = queries->group};
  pl_search *search = NULL;
  pl_status status = PL_OK;
  PL_TRY(pl_comm_agree_same(comm, "the cuts of retrieval", cut, PL_RETRIEVAL_CUTS * sizeof *cut));
  PL_TRY(check_cuts(cut, &most));
  PL_TRY_OR(done, status,
            pl_search_create(comm, width, most, keys->features, keys->count, &search));
  result->keys = pl_search_keys(search);
  r.key_group = pl_alloc((size_t)result->keys, sizeof *r.key_group);
  r.place = pl_alloc((size_t)queries->count, sizeof *r.place);
  PL_TRY_OR(done, status, pl_comm_agree(comm, r.key_group && r.place ? PL_OK : PL_E_INTERNAL));
  PL_TRY_OR(done, status, pl_search_gather(search, keys->group, r.key_group, sizeof *r.key_group));
  PL_TRY_OR(
      done, status,
      pl_search_run(search, queries->features, queries->count, find_place, &r, &result->queries));
  status = count_found(comm, &r, queries->count, cut, result->found);
done:
  pl_search_destroy(&search);
  pl_free(r.key_group);
  pl_free(r.place);
  return status;
}
