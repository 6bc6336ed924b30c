/* What device code of losses makes of one tile, against the same loss on the processor: rows so
 * long that a thread walks over several groups of columns, of which the batches of other tests have
 * none. Built twice, as test_cuda_ops.c. */
#include <string.h>

#include "losses/clip_kinds.h"
#include "losses/cuda/code.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/kernel.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"

enum { ROWS = 3, COLS = 20001, STRIDE = 20008, TILES = 2, FIGURES = PL_CLIP_FIGURES };

/* Behind the columns lies what must not be read. */
static float *make_tile(float partner) {
  float *s = pl_alloc(ROWS * STRIDE, sizeof *s);
  assert_non_null(s);
  pl_random random = pl_random_stream(5, PL_RANDOM_TEST, 0, 0, 0);
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < STRIDE; j++)
      s[i * STRIDE + j] = j < COLS ? 0.2f * pl_random_normal(&random) : NAN;
    s[i * STRIDE + 19990 + i] = partner;
  }
  return s;
}

static void *placed(const void *host, size_t bytes) {
  void *there = NULL;
  CHECK_OK(pl_cuda_device.alloc(bytes, &there));
  CHECK_OK(pl_cuda_device.put(there, host, bytes));
  return there;
}

/* Partners are in the second tile; the third row's largest similarity is in the first. */
static pl_pair_tile tile_at(float *s, int turn) {
  return (pl_pair_tile){.s = s,
                        .stride = STRIDE,
                        .first_row = COLS + 19990,
                        .first_col = turn * (int64_t)COLS,
                        .rows = ROWS,
                        .cols = COLS};
}

static void run_here(const pl_pair_loss *kind, float *const s[TILES], char *states, double *figures,
                     float *stats) {
  for (int i = 0; i < ROWS; i++) kind->begin(kind->context, states + (size_t)i * kind->state_bytes);
  for (int turn = 0; turn < TILES; turn++) {
    const pl_pair_tile tile = tile_at(s[turn], turn);
    kind->gather(kind->context, &tile, states);
  }
  for (int i = 0; i < ROWS; i++)
    kind->finish(kind->context, states + (size_t)i * kind->state_bytes,
                 stats + (ptrdiff_t)i * kind->stats, figures + (ptrdiff_t)i * FIGURES);
}

static void run_there(const pl_pair_loss *kind, const pl_pair_code *code, float *const s[TILES],
                      double *figures, float *stats) {
  char states[ROWS * PL_PAIR_MAX_STATE] = {0};
  size_t bytes = ROWS * kind->state_bytes;
  for (int i = 0; i < ROWS; i++) kind->begin(kind->context, states + (size_t)i * kind->state_bytes);
  void *states_there = placed(states, bytes);
  for (int turn = 0; turn < TILES; turn++) {
    float *there = placed(s[turn], (size_t)ROWS * STRIDE * sizeof **s);
    const pl_pair_tile tile = tile_at(there, turn);
    code->gather(pl_cuda_stream(), kind->context, &tile, states_there);
    pl_cuda_device.release(there);
  }
  CHECK_OK(pl_cuda_device.get(states, states_there, bytes));
  pl_cuda_device.release(states_there);
  for (int i = 0; i < ROWS; i++)
    kind->finish(kind->context, states + (size_t)i * kind->state_bytes,
                 stats + (ptrdiff_t)i * kind->stats, figures + (ptrdiff_t)i * FIGURES);
}

static void check_same(const pl_pair_loss *kind, const pl_pair_code *code, float *const s[TILES]) {
  char states[ROWS * PL_PAIR_MAX_STATE];
  double here[ROWS * FIGURES], there[ROWS * FIGURES];
  float stats_here[ROWS * PL_PAIR_MAX_STATS] = {0}, stats_there[ROWS * PL_PAIR_MAX_STATS] = {0};
  assert_string_equal(kind->name, code->loss);
  run_there(kind, code, s, there, stats_there);
  run_here(kind, s, states, here, stats_here);
  for (int i = 0; i < ROWS * FIGURES; i++) CHECK_NEAR(there[i], here[i], 2e-6);
  for (int i = 0; i < ROWS * kind->stats; i++) CHECK_NEAR(stats_there[i], stats_here[i], 2e-6);
}

static void long_rows_come_to_what_they_do_on_the_processor(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    const double scale = i ? 60 : 3;
    const pl_clip_terms terms = {.scale = scale,
                                 .bias = -2,
                                 .steep = (float)(scale * 1.4426950408889634),
                                 .shift = (float)(-2 * 1.4426950408889634)};
    pl_pair_loss images, texts;
    float *s[TILES] = {make_tile(0.5f), make_tile(i ? 2 : 0.9f)};
    s[0][2 * STRIDE + 12345] = 3;
    pl_clip_softmax_kinds(&terms, &images, &texts);
    check_same(&images, &pl_clip_softmax_code, s);
    pl_clip_sigmoid_kinds(&terms, &images, &texts);
    check_same(&images, &pl_clip_sigmoid_code, s);
    check_same(&texts, &pl_clip_sigmoid_texts_code, s);
    for (int k = 0; k < TILES; k++) pl_free(s[k]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(long_rows_come_to_what_they_do_on_the_processor),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
