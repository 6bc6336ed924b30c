/* models/linear over ranks, against a naive version in double precision and against itself alone.
 */
#include <string.h>

#include "runtime/base/threads.h"
#include "tests/dist/linear_naive.h"
#include "tests/dist/ranks.h"
#include "tests/dist/rows.h"

static int32_t *classify(pl_comm *comm, const problem *p, const data *d, int skip,
                         const pl_linear_views *views, pl_knn_rows *queries, int64_t *first,
                         pl_linear_result *result) {
  int64_t first_train;
  pl_knn_rows train =
      part_of_rows(comm, d->train, d->train_labels, p->train, p->options.width, skip, &first_train);
  *queries =
      part_of_rows(comm, d->queries, d->query_labels, p->queries, p->options.width, skip, first);
  int32_t *predictions = pl_alloc((size_t)queries->count, sizeof *predictions);
  assert_non_null(predictions);
  CHECK_OK(pl_linear_classify(comm, &p->options, &train, views, queries, predictions, result));
  assert_int_equal(result->queries, p->queries);
  return predictions;
}

/* Every prediction that rounding can't turn is the naive version's; nearly all are such. */
static void check_against_naive(pl_comm *comm, const problem *p) {
  data d = make_data(p);
  naive n = make_naive(p, &d);
  pl_knn_rows queries;
  int64_t first, open, clear = 0;
  pl_linear_result result;
  int32_t *predictions = classify(comm, p, &d, 0, NULL, &queries, &first, &result);
  train(&n, result.rate);
  int64_t right = count_right(&n, d.train, d.train_labels, n.shuffled, n.held, &open);
  assert_int_equal(result.held, n.held);
  assert_true(result.held_right >= right - open && result.held_right <= right + open);
  double *scores = doubles(p->options.classes);
  for (int64_t i = 0; i < queries.count; i++) {
    double margin;
    score(&n, queries.features + i * p->options.width, scores);
    int32_t expected = best_of(scores, p->options.classes, &margin);
    if (margin < CLEAR) continue;
    clear++;
    assert_int_equal(predictions[i], expected);
  }
  assert_true(clear >= queries.count * 9 / 10);
  /* No other rate would have done better on the held-out samples. */
  for (int r = 0; r < p->options.rates; r++) {
    train(&n, p->options.rate[r]);
    right = count_right(&n, d.train, d.train_labels, n.shuffled, n.held, &open);
    assert_true(right - open <= result.held_right);
  }
  pl_free(scores);
  pl_free(predictions);
  free_naive(&n);
  free_data(&d);
}

static const problem problems[] = {
    {60, 40, 1, {7, 3, 1, {0.1}, 3, 16, 0.9, 0, 0, 1}},
    {200, 150, 2, {70, 5, 3, {1e-4, 0.05, 2}, 4.5, 64, 0.9, 1e-2, 0.2, 2}},
    {300, 600, 3, {33, 2, 2, {0.01, 0.2}, 2, 1000, 0.5, 1e-3, 0.1, 3}},
    {130, 90, 1.5, {64, 20, 5, {1e-5, 1e-4, 1e-3, 1e-2, 1e-1}, 3, 65, 0, 0.1, 0.3, 4}},
};
enum { PROBLEMS = sizeof problems / sizeof *problems };

static void equals_the_naive_version(void **state) {
  for (int i = 0; i < PROBLEMS; i++) check_against_naive(*state, &problems[i]);
}

/* All samples on this rank alone give the very answer of all ranks, in any cut. */
static void check_alone(pl_comm *comm, const problem *p) {
  pl_comm *self = NULL;
  data d = make_data(p);
  pl_knn_rows all, mine;
  int64_t first;
  pl_linear_result alone, together;
  CHECK_OK(pl_comm_create_self(&self));
  int32_t *expected = classify(self, p, &d, 0, NULL, &all, &first, &alone);
  for (int skip = 0; skip < 2; skip++) {
    int32_t *predictions = classify(comm, p, &d, skip, NULL, &mine, &first, &together);
    assert_memory_equal(&together, &alone, sizeof alone);
    for (int64_t i = 0; i < mine.count; i++) assert_int_equal(predictions[i], expected[first + i]);
    pl_free(predictions);
  }
  pl_free(expected);
  free_data(&d);
  pl_comm_destroy(&self);
}

static void ranks_change_nothing(void **state) {
  for (int i = 0; i < PROBLEMS; i++) check_alone(*state, &problems[i]);
  /* Without anything to learn each prediction hangs on the last bits. */
  problem noise = {400, 2000, 1e6, {90, 4, 4, {0.01, 0.1, 1, 10}, 6, 100, 0.9, 0, 0.25, 5}};
  check_alone(*state, &noise);
}

static void threads_change_nothing(void **state) {
  const problem *p = &problems[1];
  data d = make_data(p);
  pl_knn_rows queries;
  int64_t first;
  pl_linear_result one, several;
  int before = pl_threads_count();
  pl_threads_use(1);
  int32_t *expected = classify(*state, p, &d, 0, NULL, &queries, &first, &one);
  pl_threads_use(3);
  int32_t *predictions = classify(*state, p, &d, 0, NULL, &queries, &first, &several);
  pl_threads_use(before);
  assert_memory_equal(&several, &one, sizeof one);
  for (int64_t i = 0; i < queries.count; i++) assert_int_equal(predictions[i], expected[i]);
  pl_free(expected);
  pl_free(predictions);
  free_data(&d);
}

static void separable_classes_are_told_apart(void **state) {
  const problem p = {300, 200, 0.1, {20, 6, 3, {0.01, 0.1, 1}, 20, 50, 0.9, 0, 0.1, 6}};
  data d = make_data(&p);
  pl_knn_rows queries;
  int64_t first;
  pl_linear_result result;
  pl_free(classify(*state, &p, &d, 0, NULL, &queries, &first, &result));
  assert_int_equal(result.right, p.queries);
  assert_int_equal(result.held_right, result.held);
  assert_int_equal(result.held, 30);
  free_data(&d);
}

/* Its weights leave the range of floats. */
static void a_rate_that_diverges_is_not_chosen(void **state) {
  problem p = {200, 100, 0.5, {10, 3, 2, {1e6, 0.1}, 10, 20, 0.9, 100, 0.2, 7}};
  p.options.rate[1] = 1e-3;
  data d = make_data(&p);
  pl_knn_rows queries;
  int64_t first;
  pl_linear_result result;
  pl_free(classify(*state, &p, &d, 0, NULL, &queries, &first, &result));
  assert_true(result.rate == 1e-3);
  assert_true(result.held_right > result.held / 2);
  p.options.rates = 1;
  int32_t *predictions = classify(*state, &p, &d, 0, NULL, &queries, &first, &result);
  for (int64_t i = 0; i < queries.count; i++) assert_int_equal(predictions[i], -1);
  assert_int_equal(result.right, 0);
  pl_free(predictions);
  free_data(&d);
}

/* ---- new features in each epoch ---- */

typedef struct turned {
  float *features; /* (count, width) */
  int64_t calls;
} turned;

static pl_status hand_over(void *context, int64_t epoch, const float **features) {
  turned *t = context;
  assert_int_equal(epoch, t->calls++);
  *features = t->features;
  return PL_OK;
}

/* Training on features mirrored at their mean teaches the opposite: of two classes the other. */
static void epochs_take_the_views_features(void **state) {
  pl_comm *comm = *state;
  const problem p = {100, 80, 0.1, {6, 2, 1, {0.1}, 2.5, 30, 0.9, 0, 0.2, 8}};
  int width = p.options.width;
  data d = make_data(&p);
  naive n = make_naive(&p, &d);
  pl_knn_rows queries;
  int64_t first;
  pl_knn_rows train = part_of_rows(comm, d.train, d.train_labels, p.train, width, 0, &first);
  turned t = {.features = pl_alloc((size_t)(train.count * width), sizeof *t.features)};
  assert_non_null(t.features);
  for (int64_t i = 0; i < train.count * width; i++)
    t.features[i] = (float)(2 * n.mean[i % width] - train.features[i]);
  const pl_linear_views views = {.epoch = hand_over, .context = &t};
  pl_linear_result plain, mirrored;
  pl_free(classify(comm, &p, &d, 0, NULL, &queries, &first, &plain));
  pl_free(classify(comm, &p, &d, 0, &views, &queries, &first, &mirrored));
  assert_int_equal(plain.right, p.queries);
  assert_int_equal(mirrored.right, 0);
  assert_int_equal(mirrored.held_right, 0);
  assert_int_equal(t.calls, 3);
  pl_free(t.features);
  free_naive(&n);
  free_data(&d);
}

static pl_status failing(void *context, int64_t epoch, const float **features) {
  (void)features;
  return pl_comm_agree(context, PL_FAIL(PL_E_IO, "no features for epoch %d", (int)epoch));
}

static void what_fails_is_handed_up(void **state) {
  const problem p = {50, 10, 0.1, {6, 2, 1, {0.1}, 1, 30, 0.9, 0, 0.2, 9}};
  data d = make_data(&p);
  const pl_linear_views views = {.epoch = failing, .context = *state};
  const pl_knn_rows train = {.features = d.train, .labels = d.train_labels, .count = p.train};
  pl_linear_result result;
  CHECK_FAILS(PL_E_IO, "no features for epoch 0",
              pl_linear_classify(*state, &p.options, &train, &views, &train, NULL, &result));
  free_data(&d);
}

static void bad_input_is_refused_on_all_ranks(void **state) {
  pl_comm *comm = *state;
  int last = pl_comm_rank(comm) == pl_comm_size(comm) - 1;
  float features[] = {1, 0, 0, 1};
  int32_t labels[] = {0, 1};
  const pl_linear_options good = {2, 2, 2, {0.1, 1}, 1, 2, 0.9, 0, 0.5, 1};
  const pl_knn_rows rows = {.features = features, .labels = labels, .count = 2}, none = {0};
  pl_linear_result result;
  pl_linear_options bad = good;
  bad.holdout = 0;
  CHECK_FAILS(PL_E_USAGE, "held-out share of 0 chooses among 2 rates",
              pl_linear_classify(comm, &bad, &rows, NULL, &rows, NULL, &result));
  bad = good;
  bad.rate[1] = 0;
  CHECK_FAILS(PL_E_USAGE, "a rate of 0",
              pl_linear_classify(comm, &bad, &rows, NULL, &rows, NULL, &result));
  bad = good;
  bad.rates = 0;
  CHECK_FAILS(PL_E_USAGE, "0 rates",
              pl_linear_classify(comm, &bad, &rows, NULL, &rows, NULL, &result));
  CHECK_FAILS(PL_E_USAGE, "0 training samples are too few",
              pl_linear_classify(comm, &good, &none, NULL, &rows, NULL, &result));
  labels[1] = last ? 2 : 1;
  CHECK_FAILS(PL_E_USAGE, "training row 1 has label 2",
              pl_linear_classify(comm, &good, &rows, NULL, &none, NULL, &result));
  labels[1] = 1;
  features[3] = last ? NAN : 1;
  CHECK_FAILS(PL_E_DATA, "training row 1 has a feature (1) that is nan",
              pl_linear_classify(comm, &good, &rows, NULL, &none, NULL, &result));
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_the_naive_version),
      cmocka_unit_test(ranks_change_nothing),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(separable_classes_are_told_apart),
      cmocka_unit_test(a_rate_that_diverges_is_not_chosen),
      cmocka_unit_test(epochs_take_the_views_features),
      cmocka_unit_test(what_fails_is_handed_up),
      cmocka_unit_test(bad_input_is_refused_on_all_ranks),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
