/* models/knn over ranks, against a naive version. */
#include <string.h>

#include "models/knn.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/threads.h"
#include "tests/dist/ranks.h"
#include "tests/dist/rows.h"

/* Feature entries are quarters between -1/2 and 1/2, so that every similarity is exact in float and
 * many of them are equal: the naive version has to find the very same neighbours. */
typedef struct problem {
  int64_t bank, queries;
  pl_knn_options options;
} problem;

typedef struct data {
  float *bank, *queries;
  int32_t *bank_labels, *query_labels;
} data;

static float *make_features(int64_t rows, int width, uint64_t which) {
  float *features = pl_alloc((size_t)(rows * width), sizeof *features);
  assert_non_null(features);
  pl_random random = pl_random_stream(41, PL_RANDOM_TEST, 0, which, 0);
  for (int64_t i = 0; i < rows * width; i++)
    features[i] = (float)pl_random_below(&random, 5) / 4 - 0.5f;
  return features;
}

/* Labels 0 … classes-1 but for class 1, which has no member in the bank. */
static int32_t *make_labels(int64_t rows, int classes, uint64_t which) {
  int32_t *labels = pl_alloc((size_t)rows, sizeof *labels);
  assert_non_null(labels);
  pl_random random = pl_random_stream(42, PL_RANDOM_TEST, 0, which, 0);
  for (int64_t i = 0; i < rows; i++) {
    labels[i] = (int32_t)pl_random_below(&random, (uint64_t)classes);
    if (labels[i] == 1 && which == 0) labels[i] = 0;
  }
  return labels;
}

static data make_data(const problem *p) {
  return (data){.bank = make_features(p->bank, p->options.width, 0),
                .queries = make_features(p->queries, p->options.width, 1),
                .bank_labels = make_labels(p->bank, p->options.classes, 0),
                .query_labels = make_labels(p->queries, p->options.classes, 1)};
}

static void free_data(data *d) {
  pl_free(d->bank);
  pl_free(d->queries);
  pl_free(d->bank_labels);
  pl_free(d->query_labels);
}

/* The prediction for one query: picks the best k times, votes in that order. */
static int32_t naive(const problem *p, const data *d, int64_t query) {
  int width = p->options.width;
  double *s = pl_alloc((size_t)p->bank, sizeof *s);
  double *votes = pl_alloc((size_t)p->options.classes, sizeof *votes);
  assert_true(s && votes);
  for (int64_t j = 0; j < p->bank; j++)
    for (int k = 0; k < width; k++)
      s[j] += (double)d->bank[j * width + k] * d->queries[query * width + k];
  double nearest = 0;
  for (int taken = 0; taken < p->options.k && taken < p->bank; taken++) {
    int64_t best = 0;
    for (int64_t j = 1; j < p->bank; j++)
      if (s[j] > s[best]) best = j;
    if (taken == 0) nearest = s[best];
    votes[d->bank_labels[best]] += exp((s[best] - nearest) / p->options.temperature);
    s[best] = -INFINITY;
  }
  int32_t winner = 0;
  for (int32_t class = 1; class < p->options.classes; class ++)
    if (votes[class] > votes[winner]) winner = class;
  pl_free(s);
  pl_free(votes);
  return winner;
}

static void check_problem(pl_comm *comm, const problem *p, int skip) {
  data d = make_data(p);
  int64_t first_bank, first, right = -1, expected = 0;
  pl_knn_rows bank =
      part_of_rows(comm, d.bank, d.bank_labels, p->bank, p->options.width, skip, &first_bank);
  pl_knn_rows queries =
      part_of_rows(comm, d.queries, d.query_labels, p->queries, p->options.width, skip, &first);
  int32_t *predictions = pl_alloc((size_t)queries.count, sizeof *predictions);
  assert_non_null(predictions);
  CHECK_OK(pl_knn_classify(comm, &p->options, &bank, &queries, predictions, &right));
  for (int64_t i = 0; i < p->queries; i++) {
    int32_t winner = naive(p, &d, i);
    expected += winner == d.query_labels[i];
    if (i >= first && i < first + queries.count) assert_int_equal(predictions[i - first], winner);
  }
  assert_int_equal(right, expected);
  pl_free(predictions);
  free_data(&d);
}

static void equals_the_naive_version(void **state) {
  const problem problems[] = {
      {1, 1, {.width = 3, .classes = 1, .k = 1, .temperature = 0.07}},
      {5, 9, {.width = 4, .classes = 3, .k = 20, .temperature = 0.07}},
      {100, 130, {.width = 8, .classes = 10, .k = 5, .temperature = 0.07}},
      {512, 64, {.width = 16, .classes = 4, .k = 20, .temperature = 1}},
      {1100, 150, {.width = 12, .classes = 7, .k = 30, .temperature = 0.01}},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    check_problem(*state, &problems[i], 0);
    check_problem(*state, &problems[i], 1);
  }
}

static void threads_change_nothing(void **state) {
  const problem p = {700, 400, {.width = 8, .classes = 5, .k = 9, .temperature = 0.07}};
  int before = pl_threads_count();
  pl_threads_use(3);
  check_problem(*state, &p, 0);
  pl_threads_use(before);
}

/* A query that is no number has no neighbour; a bank row that is none is nobody's. */
static void features_that_are_no_numbers_are_left_out(void **state) {
  pl_comm *comm = *state;
  const float features[] = {NAN, 0, 1, 0, 0, 1};
  const int32_t labels[] = {0, 1, 2};
  const pl_knn_options options = {.width = 2, .classes = 3, .k = 3, .temperature = 0.1};
  const pl_knn_rows rows = {.features = features, .labels = labels, .count = 3};
  int32_t predictions[3];
  int64_t right;
  CHECK_OK(pl_knn_classify(comm, &options, &rows, &rows, predictions, &right));
  assert_int_equal(predictions[0], -1);
  assert_int_equal(predictions[1], 1);
  assert_int_equal(predictions[2], 2);
  assert_int_equal(right, 2 * pl_comm_size(comm));
}

static void bad_input_is_refused_on_all_ranks(void **state) {
  pl_comm *comm = *state;
  int last = pl_comm_rank(comm) == pl_comm_size(comm) - 1;
  const float features[] = {1, 0, 0, 1};
  int32_t labels[] = {0, last ? 2 : 1};
  pl_knn_options options = {.width = 2, .classes = 2, .k = 3, .temperature = 0.1};
  const pl_knn_rows rows = {.features = features, .labels = labels, .count = 2}, none = {0};
  int64_t right;
  CHECK_FAILS(PL_E_USAGE, "bank row 1 has label 2",
              pl_knn_classify(comm, &options, &rows, &none, NULL, &right));
  CHECK_FAILS(PL_E_USAGE, "query row 1 has label 2",
              pl_knn_classify(comm, &options, &none, &rows, NULL, &right));
  CHECK_FAILS(PL_E_USAGE, "knn: search: there are no keys",
              pl_knn_classify(comm, &options, &none, &none, NULL, &right));
  options.k = 0;
  CHECK_FAILS(PL_E_USAGE, "k 0", pl_knn_classify(comm, &options, &none, &none, NULL, &right));
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_the_naive_version),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(features_that_are_no_numbers_are_left_out),
      cmocka_unit_test(bad_input_is_refused_on_all_ranks),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
