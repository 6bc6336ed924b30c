#include "models/knn.h"

#include <math.h>
#include <string.h>

#include "models/search.h"
#include "runtime/base/memory.h"

typedef struct knn {
  pl_comm *comm;
  const pl_knn_options *options;
  const int32_t *expected; /* labels of the local queries */
  int32_t *predictions;    /* NULL: nobody asks */
  pl_search *search;
  int32_t *labels; /* of all bank rows */
  double *votes;   /* (slots, classes) */
  int64_t *right;  /* (slots) */
} knn;

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

/* ---- votes ---- */

static int32_t vote(const knn *k, const pl_neighbour *nearest, int count, double *votes) {
  if (count == 0) return -1;
  memset(votes, 0, (size_t)k->options->classes * sizeof *votes);
  for (int i = 0; i < count; i++)
    votes[k->labels[nearest[i].index]] +=
        exp(((double)nearest[i].score - nearest[0].score) / k->options->temperature);
  int32_t best = 0;
  for (int32_t class = 1; class < k->options->classes; class ++)
    if (votes[class] > votes[best]) best = class;
  return best;
}

static void classify(void *context, int slot, int64_t query, const pl_neighbour *nearest,
                     int count) {
  const knn *k = context;
  int32_t found = vote(k, nearest, count, k->votes + (size_t)slot * (size_t)k->options->classes);
  k->right[slot] += found == k->expected[query];
  if (k->predictions) k->predictions[query] = found;
}

/* ---- the whole ---- */

static pl_status reserve(knn *k) {
  size_t slots = (size_t)pl_search_slots(k->search);
  k->labels = pl_alloc((size_t)pl_search_keys(k->search), sizeof *k->labels);
  k->votes = pl_alloc(slots * (size_t)k->options->classes, sizeof *k->votes);
  k->right = pl_alloc(slots, sizeof *k->right);
  return k->labels && k->votes && k->right ? PL_OK : PL_E_INTERNAL;
}

static pl_status run(knn *k, const pl_knn_rows *bank, const pl_knn_rows *queries, int64_t *right) {
  const pl_knn_options *o = k->options;
  int64_t all_queries;
  PL_TRY(pl_comm_agree(k->comm, check_input(o, bank, queries)));
  PL_TRY(pl_context(
      pl_search_create(k->comm, o->width, o->k, bank->features, bank->count, &k->search), "knn"));
  PL_TRY(pl_comm_agree(k->comm, reserve(k)));
  PL_TRY(pl_search_gather(k->search, bank->labels, k->labels, sizeof *k->labels));
  PL_TRY(pl_search_run(k->search, queries->features, queries->count, classify, k, &all_queries));
  double total = 0; /* whole numbers: exact in any order */
  for (int slot = 0; slot < pl_search_slots(k->search); slot++) total += (double)k->right[slot];
  PL_TRY(pl_comm_sum_f64(k->comm, &total, 1));
  *right = (int64_t)total;
  return PL_OK;
}

pl_status pl_knn_classify(pl_comm *comm, const pl_knn_options *options, const pl_knn_rows *bank,
                          const pl_knn_rows *queries, int32_t *predictions, int64_t *right) {
  knn k = {.comm = comm, .options = options, .expected = queries->labels};
  k.predictions = predictions;
  const double agreed[] = {options->width, options->classes, options->k, options->temperature};
  PL_TRY(pl_comm_agree_same(comm, "the options of knn", agreed, sizeof agreed));
  pl_status status = run(&k, bank, queries, right);
  pl_search_destroy(&k.search);
  pl_free(k.labels);
  pl_free(k.votes);
  pl_free(k.right);
  return status;
}
