/* Retrieval against a naive version that sorts all keys of a query, on ranks with unequal parts.
 *
 * Feature entries are quarters between -1/2 and 1/2, so that every similarity is exact in float and
 * many of them are equal: the naive version has to find the very same keys. */
#include <string.h>

#include "models/retrieval.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/threads.h"
#include "tests/dist/ranks.h"

/* `images` groups, each with `captions` texts; texts of an image lie together. */
typedef struct problem {
  int64_t images;
  int captions, width;
  int cut[PL_RETRIEVAL_CUTS];
} problem;

/* All rows of a kind, the same on every rank. */
typedef struct rows {
  float *features;
  int64_t *group;
  int64_t count;
} rows;

static float quarter(pl_random *random) { return (float)pl_random_below(random, 5) / 4 - 0.5f; }

/* `each` rows of every image; the common part of an image's rows makes them similar. */
static rows make_rows(const problem *p, int each, uint64_t which) {
  rows r = {.count = p->images * each};
  r.features = pl_alloc((size_t)(r.count * p->width), sizeof *r.features);
  r.group = pl_alloc((size_t)r.count, sizeof *r.group);
  assert_true(r.features && r.group);
  for (int64_t i = 0; i < r.count; i++) {
    int64_t image = i / each;
    pl_random common = pl_random_stream(51, PL_RANDOM_TEST, 0, (uint64_t)image, 0);
    pl_random own = pl_random_stream(52, PL_RANDOM_TEST, which, (uint64_t)i, 0);
    /* Numbers that do not fit an int, and are neither dense nor ordered. */
    r.group[i] = (image * 7919 + 3) % 1009 * INT64_C(10000000019);
    for (int k = 0; k < p->width; k++)
      r.features[i * p->width + k] = k % 2 ? quarter(&common) : quarter(&own);
  }
  return r;
}

static void free_rows(rows *r) {
  pl_free(r->features);
  pl_free(r->group);
}

/* This rank's part: shares in proportion to rank + 1, or with `last` everything on the last rank.
 */
static pl_retrieval_rows part_of(pl_comm *comm, const problem *p, const rows *all, bool last) {
  int64_t ranks = pl_comm_size(comm), rank = pl_comm_rank(comm), shares = ranks * (ranks + 1) / 2;
  int64_t first = all->count * (rank * (rank + 1) / 2) / shares;
  int64_t end = all->count * ((rank + 1) * (rank + 2) / 2) / shares;
  if (last) first = 0;
  if (last) end = rank == ranks - 1 ? all->count : 0;
  return (pl_retrieval_rows){.features = all->features + first * p->width,
                             .group = all->group + first,
                             .count = end - first};
}

/* How many keys come before the first right one. */
static int64_t naive_place(const problem *p, const rows *keys, const rows *queries, int64_t query) {
  double *s = pl_alloc((size_t)keys->count, sizeof *s);
  assert_non_null(s);
  int64_t best = -1, before = 0;
  for (int64_t j = 0; j < keys->count; j++) {
    for (int k = 0; k < p->width; k++)
      s[j] += (double)keys->features[j * p->width + k] * queries->features[query * p->width + k];
    if (keys->group[j] == queries->group[query] && (best < 0 || s[j] > s[best])) best = j;
  }
  assert_true(best >= 0);
  for (int64_t j = 0; j < keys->count; j++)
    before += s[j] > s[best] || (s[j] == s[best] && j < best);
  pl_free(s);
  return before;
}

static void check_direction(pl_comm *comm, const problem *p, const rows *queries,
                            const rows *keys) {
  int64_t expected[PL_RETRIEVAL_CUTS] = {0};
  for (int64_t i = 0; i < queries->count; i++) {
    int64_t place = naive_place(p, keys, queries, i);
    for (int k = 0; k < PL_RETRIEVAL_CUTS; k++) expected[k] += place < p->cut[k];
  }
  for (int last = 0; last < 2; last++) {
    pl_retrieval_rows my_queries = part_of(comm, p, queries, last),
                      my_keys = part_of(comm, p, keys, !last);
    pl_retrieval_result found;
    CHECK_OK(pl_retrieve(comm, p->width, &my_queries, &my_keys, p->cut, &found));
    assert_int_equal(found.queries, queries->count);
    assert_int_equal(found.keys, keys->count);
    for (int k = 0; k < PL_RETRIEVAL_CUTS; k++) assert_int_equal(found.found[k], expected[k]);
  }
}

static void check_problem(pl_comm *comm, const problem *p) {
  rows images = make_rows(p, 1, 0), texts = make_rows(p, p->captions, 1);
  check_direction(comm, p, &images, &texts);
  check_direction(comm, p, &texts, &images);
  free_rows(&images);
  free_rows(&texts);
}

static void equals_the_naive_version(void **state) {
  const problem problems[] = {
      {1, 1, 3, {1}},          {7, 5, 4, {1, 5, 10}},
      {60, 5, 16, {1, 5, 10}}, {256, 1, 8, {1, 2, 3, 4}},
      {300, 2, 12, {10, 100}}, {9, 30, 6, {1, 5, 500}},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
    check_problem(*state, &problems[i]);
}

static void threads_change_nothing(void **state) {
  const problem p = {300, 3, 8, {1, 5, 10}};
  int before = pl_threads_count();
  pl_threads_use(3);
  check_problem(*state, &p);
  pl_threads_use(before);
}

/* An image whose first caption is far away and whose last one is near is found, and each of its
 * captions is counted as a query of its own. */
static void any_caption_of_an_image_counts(void **state) {
  pl_comm *comm = *state;
  bool first = pl_comm_rank(comm) == 0;
  const float images[] = {1, 0, 0, 0, 1, 0};
  const int64_t image_group[] = {4, 9};
  const float texts[] = {0, 0, 1, 0, 0.9f, 0, 1, 0, 0, 0, 0.8f, 0};
  const int64_t text_group[] = {4, 9, 4, 9};
  const int cut[PL_RETRIEVAL_CUTS] = {1, 2};
  const pl_retrieval_rows all_images = {images, image_group, first ? 2 : 0};
  const pl_retrieval_rows all_texts = {texts, text_group, first ? 4 : 0};
  pl_retrieval_result result;
  CHECK_OK(pl_retrieve(comm, 3, &all_images, &all_texts, cut, &result));
  assert_int_equal(result.queries, 2);
  assert_int_equal(result.found[0], 2);
  CHECK_OK(pl_retrieve(comm, 3, &all_texts, &all_images, cut, &result));
  assert_int_equal(result.queries, 4);
  /* The first caption ties between the images and goes to the lower one, which is its own. */
  assert_int_equal(result.found[0], 4);
  assert_int_equal(result.found[1], 4);
}

/* A query that is no number finds nothing; a key that is none is never found. */
static void features_that_are_no_numbers_are_left_out(void **state) {
  pl_comm *comm = *state;
  const float features[] = {NAN, 0, 1, 0, 0, 1};
  int64_t group[3];
  for (int i = 0; i < 3; i++) group[i] = 3 * pl_comm_rank(comm) + i;
  const pl_retrieval_rows mine = {features, group, 3};
  const int cut[PL_RETRIEVAL_CUTS] = {1, 100};
  pl_retrieval_result result;
  CHECK_OK(pl_retrieve(comm, 2, &mine, &mine, cut, &result));
  assert_int_equal(result.queries, 3 * pl_comm_size(comm));
  /* Copies of a key on other ranks tie with it. */
  assert_int_equal(result.found[0], 2);
  assert_int_equal(result.found[1], 2 * pl_comm_size(comm));
}

static void bad_input_is_refused_on_all_ranks(void **state) {
  pl_comm *comm = *state;
  const float features[] = {1, 0};
  const int64_t group[] = {0};
  const pl_retrieval_rows one = {features, group, 1}, none = {0};
  int cut[PL_RETRIEVAL_CUTS] = {1, 5};
  pl_retrieval_result result;
  CHECK_FAILS(PL_E_USAGE, "no keys", pl_retrieve(comm, 2, &one, &none, cut, &result));
  CHECK_FAILS(PL_E_USAGE, "width 0", pl_retrieve(comm, 0, &one, &one, cut, &result));
  CHECK_OK(pl_retrieve(comm, 2, &none, &one, cut, &result));
  assert_int_equal(result.queries, 0);
  assert_int_equal(result.found[0], 0);
  cut[1] = 1;
  CHECK_FAILS(PL_E_USAGE, "ascend", pl_retrieve(comm, 2, &one, &one, cut, &result));
  cut[0] = 0;
  CHECK_FAILS(PL_E_USAGE, "no cut", pl_retrieve(comm, 2, &one, &one, cut, &result));
  if (pl_comm_size(comm) == 1) return;
  cut[0] = 1 + pl_comm_rank(comm);
  cut[1] = 0;
  CHECK_FAILS(PL_E_USAGE, "cuts", pl_retrieve(comm, 2, &one, &one, cut, &result));
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(equals_the_naive_version),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(any_caption_of_an_image_counts),
      cmocka_unit_test(features_that_are_no_numbers_are_left_out),
      cmocka_unit_test(bad_input_is_refused_on_all_ranks),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
