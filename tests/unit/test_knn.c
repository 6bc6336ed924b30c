/* models/nearest: the k best of a stream. */
#include <stdlib.h>

#include "models/nearest.h"
#include "runtime/base/random.h"
#include "tests/check.h"

enum { MOST = 1000 };

static int best_first(const void *a, const void *b) {
  const pl_neighbour *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return x->index < y->index ? -1 : 1;
}

/* Takes n scores in pieces of `piece` and compares with a full sort. */
static void check_best(const float *scores, int n, int k, int piece) {
  pl_neighbour kept[PL_NEAREST_ROOM(MOST)], all[MOST];
  pl_nearest nearest = pl_nearest_start(kept, k);
  for (int i = 0; i < n; i += piece)
    pl_nearest_take(&nearest, scores + i, n - i < piece ? n - i : piece, i);
  int numbers = 0;
  for (int i = 0; i < n; i++)
    if (scores[i] > -INFINITY) all[numbers++] = (pl_neighbour){.score = scores[i], .index = i};
  qsort(all, (size_t)numbers, sizeof *all, best_first);
  int expected = k < numbers ? k : numbers;
  pl_nearest_sort(&nearest);
  assert_int_equal(nearest.count, expected);
  for (int i = 0; i < expected; i++) {
    assert_int_equal(kept[i].index, all[i].index);
    assert_true(kept[i].score == all[i].score);
  }
}

/* Few different scores make many ties, also at the threshold. */
static void best_of_a_stream(void **state) {
  (void)state;
  float scores[MOST];
  pl_random random = pl_random_stream(31, PL_RANDOM_TEST, 0, 0, 0);
  const int sizes[] = {0, 1, 2, 63, 64, 65, 500, MOST}, ks[] = {1, 2, 7, 200, MOST};
  for (int values = 1; values <= 10000; values *= 10)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
      for (size_t k = 0; k < sizeof ks / sizeof *ks; k++) {
        for (int i = 0; i < sizes[s]; i++)
          scores[i] = (float)pl_random_below(&random, (uint64_t)values) / 100 - 1;
        check_best(scores, sizes[s], ks[k], 100);
        check_best(scores, sizes[s], ks[k], 7);
      }
}

static void rising_and_falling_streams(void **state) {
  (void)state;
  float rising[MOST], falling[MOST];
  for (int i = 0; i < MOST; i++) {
    rising[i] = (float)i;
    falling[i] = (float)-i;
  }
  check_best(rising, MOST, 50, 128);
  check_best(falling, MOST, 50, 128);
}

static void what_is_no_number_is_no_neighbour(void **state) {
  (void)state;
  float scores[70];
  for (int i = 0; i < 70; i++) scores[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? -INFINITY : (float)-i;
  check_best(scores, 70, 10, 70);
  check_best(scores, 70, 60, 11);
  check_best(scores, 1, 5, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(best_of_a_stream),
      cmocka_unit_test(rising_and_falling_streams),
      cmocka_unit_test(what_is_no_number_is_no_neighbour),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
