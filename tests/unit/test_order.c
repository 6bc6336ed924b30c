/* The sample stream: each sample once an epoch, and a pure function of seed and position. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/data/order.h"
#include "tests/check.h"

typedef struct shape {
  int64_t samples, block, window;
} shape;

/* Whole and partial last blocks, whole and partial last windows, one block, one sample, blocks and
 * windows larger than the dataset. */
static const shape shapes[] = {{24, 4, 3},  {26, 4, 3},    {27, 4, 2},   {29, 4, 7}, {5, 8, 3},
                               {1, 1, 1},   {1, 16, 16},   {7, 1, 1},    {7, 1, 3},  {97, 10, 100},
                               {100, 7, 4}, {1000, 32, 5}, {1003, 64, 1}};
enum { SHAPES = sizeof shapes / sizeof shapes[0], MOST_SAMPLES = 1003 };

/* Writes the samples of stream positions [first, first + n) and checks their epochs. */
static void read_stream(pl_order *order, int64_t samples, int64_t first, int64_t n, int64_t *out) {
  for (int64_t i = 0; i < n; i++) {
    int64_t epoch = -1;
    CHECK_OK(pl_order_at(order, first + i, &out[i], &epoch));
    assert_int_equal(epoch, (first + i) / samples);
  }
}

static void each_sample_once(void **state) {
  (void)state;
  for (int k = 0; k < SHAPES; k++) {
    shape s = shapes[k];
    pl_order *order = NULL;
    CHECK_OK(pl_order_create(s.samples, s.block, s.window, 5, true, &order));
    int64_t *stream = pl_alloc((size_t)s.samples, sizeof *stream);
    for (int64_t epoch = 0; epoch < 3; epoch++) {
      read_stream(order, s.samples, epoch * s.samples, s.samples, stream);
      bool seen[MOST_SAMPLES] = {false};
      for (int64_t i = 0; i < s.samples; i++) {
        assert_in_range(stream[i], 0, s.samples - 1);
        assert_false(seen[stream[i]]);
        seen[stream[i]] = true;
      }
    }
    pl_free(stream);
    pl_order_destroy(&order);
  }
}

static void random_access_gives_the_same(void **state) {
  (void)state;
  enum { ASKED = 4000 };
  for (int k = 0; k < SHAPES; k++) {
    shape s = shapes[k];
    int64_t n = 4 * s.samples;
    pl_order *walked = NULL, *jumped = NULL;
    CHECK_OK(pl_order_create(s.samples, s.block, s.window, 11, true, &walked));
    CHECK_OK(pl_order_create(s.samples, s.block, s.window, 11, true, &jumped));
    int64_t *stream = pl_alloc((size_t)n, sizeof *stream);
    read_stream(walked, s.samples, 0, n, stream);
    pl_random random = pl_random_stream(1, PL_RANDOM_TEST, 0, (uint64_t)k, 0);
    for (int i = 0; i < ASKED; i++) {
      int64_t position = (int64_t)pl_random_below(&random, (uint64_t)n), sample = -1;
      read_stream(jumped, s.samples, position, 1, &sample);
      assert_int_equal(sample, stream[position]);
    }
    pl_free(stream);
    pl_order_destroy(&walked);
    pl_order_destroy(&jumped);
  }
}

/* A place in the epoch is within its window of blocks: `window` consecutive blocks' samples come
 * from at most `window` blocks. */
static void windows_hold_their_blocks(void **state) {
  (void)state;
  const shape s = {1003, 16, 4};
  pl_order *order = NULL;
  CHECK_OK(pl_order_create(s.samples, s.block, s.window, 3, true, &order));
  int64_t stream[1003];
  read_stream(order, s.samples, 0, s.samples, stream);
  int64_t at = 0;
  while (at < s.samples) {
    bool block_seen[63] = {false};
    int64_t blocks = 0, total = 0;
    /* take samples until a block beyond the window appears */
    while (at < s.samples && (blocks < s.window || block_seen[stream[at] / s.block])) {
      int64_t block = stream[at++] / s.block;
      if (!block_seen[block]) blocks++;
      block_seen[block] = true;
      total++;
    }
    int64_t expected = 0;
    for (int64_t b = 0; b < 63; b++) {
      if (block_seen[b]) expected += b == 62 ? s.samples - 62 * s.block : s.block;
    }
    assert_int_equal(total, expected);
  }
  pl_order_destroy(&order);
}

static void differs_between_epochs_and_seeds(void **state) {
  (void)state;
  enum { N = 500 };
  int64_t first[2 * N], other[N];
  pl_order *order = NULL;
  CHECK_OK(pl_order_create(N, 8, 8, 1, true, &order));
  read_stream(order, N, 0, 2 * N, first);
  pl_order_destroy(&order);
  CHECK_OK(pl_order_create(N, 8, 8, 2, true, &order));
  read_stream(order, N, 0, N, other);
  pl_order_destroy(&order);

  int same_epoch = 0, same_seed = 0, stored = 0;
  for (int i = 0; i < N; i++) {
    same_epoch += first[i] == first[N + i];
    same_seed += first[i] == other[i];
    stored += first[i] == i;
  }
  /* about one fixed point is expected of a random permutation; blocks raise it a little */
  assert_in_range(same_epoch, 0, 25);
  assert_in_range(same_seed, 0, 25);
  assert_in_range(stored, 0, 25);
}

/* Each sample must be as likely at each place: with one window over everything, and with windows of
 * single blocks, where only the order of blocks and the order inside blocks mix. */
static void places_are_even(void **state) {
  (void)state;
  enum { N = 8, EPOCHS = 8000 };
  const shape cases[] = {{N, 2, 4}, {N, 2, 1}, {N, 4, 2}};
  for (int k = 0; k < 3; k++) {
    pl_order *order = NULL;
    CHECK_OK(pl_order_create(N, cases[k].block, cases[k].window, 77, true, &order));
    int count[N][N] = {{0}};
    for (int64_t p = 0; p < (int64_t)N * EPOCHS; p++) {
      int64_t sample = -1;
      read_stream(order, N, p, 1, &sample);
      count[p % N][sample]++;
    }
    /* expectation 1000, standard deviation 30 */
    for (int i = 0; i < N * N; i++) assert_in_range(count[i / N][i % N], 840, 1160);
    pl_order_destroy(&order);
  }
}

static void unshuffled_is_stored_order(void **state) {
  (void)state;
  pl_order *order = NULL;
  CHECK_OK(pl_order_create(6, 4, 2, 9, false, &order));
  for (int64_t p = 0; p < 20; p++) {
    int64_t sample = -1;
    read_stream(order, 6, p, 1, &sample);
    assert_int_equal(sample, p % 6);
  }
  pl_order_destroy(&order);
}

/* Billions of samples cost memory by blocks, and numbers above 2^32 come out whole. */
static void large_datasets(void **state) {
  (void)state;
  const int64_t samples = INT64_C(5000000001), block = 65536;
  pl_order *order = NULL;
  CHECK_OK(pl_order_create(samples, block, 4, 1, true, &order));
  int64_t highest = 0, sample = -1;
  for (int64_t p = 0; p < 50; p++) {
    read_stream(order, samples, p * (samples / 50), 1, &sample);
    assert_in_range(sample, 0, samples - 1);
    if (sample > highest) highest = sample;
  }
  assert_true(highest > UINT32_MAX);
  read_stream(order, samples, samples - 1, 1, &sample);
  assert_in_range(sample, 0, samples - 1);
  pl_order_destroy(&order);
}

static void bad_input_is_refused(void **state) {
  (void)state;
  pl_order *order = NULL;
  CHECK_FAILS(PL_E_USAGE, "at least 1", pl_order_create(0, 1, 1, 1, true, &order));
  CHECK_FAILS(PL_E_USAGE, "at least 1", pl_order_create(4, 0, 1, 1, true, &order));
  CHECK_FAILS(PL_E_USAGE, "at least 1", pl_order_create(4, 1, -1, 1, true, &order));
  CHECK_FAILS(PL_E_USAGE, "2^32", pl_order_create(INT64_C(1) << 40, 4, 1, 1, true, &order));
  CHECK_FAILS(PL_E_USAGE, "2^32",
              pl_order_create(INT64_C(1) << 40, 1 << 20, 1 << 20, 1, true, &order));
  assert_null(order);
  pl_order_destroy(&order);
  CHECK_OK(pl_order_create(4, 2, 2, 1, true, &order));
  int64_t sample = 0, epoch = 0;
  CHECK_FAILS(PL_E_INTERNAL, "outside the stream", pl_order_at(order, -1, &sample, &epoch));
  CHECK_FAILS(PL_E_INTERNAL, "outside the stream", pl_order_at(order, INT64_MAX, &sample, &epoch));
  pl_order_destroy(&order);
  assert_null(order);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_sample_once),
      cmocka_unit_test(random_access_gives_the_same),
      cmocka_unit_test(windows_hold_their_blocks),
      cmocka_unit_test(differs_between_epochs_and_seeds),
      cmocka_unit_test(places_are_even),
      cmocka_unit_test(unshuffled_is_stored_order),
      cmocka_unit_test(large_datasets),
      cmocka_unit_test(bad_input_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
