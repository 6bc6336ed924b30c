/* Device code of losses, emulated: the same bits whichever threads of a block go first, on rows so
 * long that many warps share one. */
#include <string.h>

#include "losses/clip_rows.h"
#include "losses/cuda/code.h"
#include "losses/ntxent_rows.h"
#include "runtime/base/random.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/kernel.h"
#include "tests/check.h"
#include "tests/emulation/runtime.h"
#include "tests/unit/cuda_test.h"

enum { ROWS = 2, COLS = 5003, STRIDE = 5008, STATE = ROWS * PL_PAIR_MAX_STATE };

static const pl_ntxent_terms ntxent = {
    .leaf_samples = ROWS, .want_uniformity = true, .steep = 7, .share = 1};
static const pl_clip_terms clip = {.scale = 5, .bias = -2, .steep = 7, .shift = -3, .share = 1};

typedef struct code_case {
  const pl_pair_code *code;
  const void *context;
} code_case;

/* What a tile comes to. */
typedef struct outcome {
  char states[STATE];
  float weights[ROWS * STRIDE];
} outcome;

static float values[ROWS * STRIDE];

static void *placed(const void *host, size_t bytes) {
  void *there = NULL;
  CHECK_OK(pl_cuda_device.alloc(bytes, &there));
  if (host) CHECK_OK(pl_cuda_device.put(there, host, bytes));
  return there;
}

static void run(const code_case *c, outcome *out) {
  float *s = placed(values, sizeof values), *stats = placed(values, sizeof values);
  char *states = placed(NULL, STATE);
  const pl_pair_tile tile = {.s = s, .stride = STRIDE, .first_row = 4, .rows = ROWS, .cols = COLS};
  c->code->gather(pl_cuda_stream(), c->context, &tile, states);
  if (c->code->weigh) c->code->weigh(pl_cuda_stream(), c->context, &tile, stats, stats, PL_F32, s);
  CHECK_OK(pl_cuda_device.get(out->states, states, STATE));
  CHECK_OK(pl_cuda_device.get(out->weights, s, sizeof out->weights));
  pl_cuda_device.release(s);
  pl_cuda_device.release(stats);
  pl_cuda_device.release(states);
}

static void turns_of_threads_change_no_bit(void **state) {
  (void)state;
  static outcome forwards, backwards;
  const code_case cases[] = {{&pl_ntxent_code, &ntxent},
                             {&pl_clip_softmax_code, &clip},
                             {&pl_clip_sigmoid_code, &clip},
                             {&pl_clip_sigmoid_texts_code, &clip},
                             {&pl_uniformity_code, NULL}};
  pl_random random = pl_random_stream(6, PL_RANDOM_TEST, 0, 0, 0);
  for (size_t i = 0; i < ROWS * STRIDE; i++) values[i] = 0.3f * pl_random_normal(&random);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    run(&cases[i], &forwards);
    emulated_turn_backwards(true);
    run(&cases[i], &backwards);
    emulated_turn_backwards(false);
    assert_memory_equal(forwards.states, backwards.states, sizeof forwards.states);
    assert_memory_equal(forwards.weights, backwards.weights, sizeof forwards.weights);
    assert_int_equal(memcmp(forwards.weights, values, sizeof values) != 0,
                     cases[i].code->weigh != NULL);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(turns_of_threads_change_no_bit)};
  if (!cuda_test_open()) return 1;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
