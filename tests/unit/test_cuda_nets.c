/* Whole networks on the CUDA backend: the promises that hold bit by bit. How near they come to the
 * naive backend is test_cuda_agreement.c's subject. Built twice, as test_cuda_ops.c. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/base/tree.h"
#include "runtime/cuda/cuda.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/small_networks.h"

/* ---- networks ---- */

static rig_options residual_options(pl_norm_scope scope, pl_dtype precision) {
  return small_residual_options(pl_cuda_backend(), scope, precision);
}

static rig_options vision_options(pl_dtype precision) {
  return small_vision_options(pl_cuda_backend(), precision);
}

static rig_options text_options(pl_dtype precision) {
  return small_text_options(pl_cuda_backend(), precision);
}

/* ---- what one batch gave ---- */

typedef struct part {
  float *values;
  size_t count;
} part;

enum { OUT, GRADIENT, BUFFERS, PARTS };
static const char *const part_name[PARTS] = {"outputs", "gradient", "running statistics"};

typedef struct result {
  part part[PARTS];
  int64_t recorded; /* pieces of work */
} result;

static part room(size_t count) {
  part p = {pl_alloc(count, sizeof(float)), count};
  assert_non_null(p.values);
  return p;
}

static part copy(const float *from, size_t count) {
  part p = room(count);
  memcpy(p.values, from, count * sizeof(float));
  return p;
}

/* What the last of some steps gave. */
static result run_steps(const rig_options *options, int steps) {
  net_rig rig;
  result r;
  rig_create(&rig, options);
  for (int i = 0; i < steps; i++) {
    rig.shift = i;
    CHECK_OK(rig_step(&rig));
  }
  r.part[OUT] = copy(rig.out, (size_t)rig.leaves * rig.leaf_out);
  r.part[GRADIENT] = room((size_t)pl_space_elements(rig.space));
  rig_gradient(&rig, r.part[GRADIENT].values);
  r.part[BUFFERS] = copy(rig.buffers, (size_t)pl_space_buffer_elements(rig.space));
  r.recorded = pl_exec_recorded(rig.exec);
  rig_destroy(&rig);
  return r;
}

/* With norms two steps: running statistics then move on from moved ones. */
static result run(const rig_options *options) {
  return run_steps(options, options->build == small_residual ? 2 : 1);
}

static void free_result(result *r) {
  for (int i = 0; i < PARTS; i++) pl_free(r->part[i].values);
}

static void check_same_part(const part *a, const part *b, int which, const char *when) {
  assert_int_equal(a->count, b->count);
  if (memcmp(a->values, b->values, a->count * sizeof(float)) != 0)
    fail_msg("%s are other bits %s", part_name[which], when);
}

static void check_same(const result *a, const result *b, const char *when) {
  for (int i = 0; i < PARTS; i++) check_same_part(&a->part[i], &b->part[i], i, when);
}

/* ---- tests ---- */

/* Four leaves in one executor, and each in its own: the same outputs, and sums over the same tree.
 */
static void check_leaves(rig_options options, const result *whole) {
  enum { LEAVES = 4 };
  result alone[LEAVES];
  options.rank_count = LEAVES;
  for (options.rank = 0; options.rank < LEAVES; options.rank++) alone[options.rank] = run(&options);
  size_t elements = whole->part[GRADIENT].count, outputs = alone[0].part[OUT].count;
  float *gradients = pl_alloc(LEAVES * elements, sizeof(float));
  part sum = {pl_alloc(elements, sizeof(float)), elements};
  assert_true(gradients && sum.values);
  for (size_t i = 0; i < LEAVES; i++) {
    part of_whole = {whole->part[OUT].values + i * outputs, outputs};
    check_same_part(&alone[i].part[OUT], &of_whole, OUT, "for a leaf alone");
    memcpy(gradients + i * elements, alone[i].part[GRADIENT].values, elements * sizeof(float));
    free_result(&alone[i]);
  }
  pl_tree_sum_f32(sum.values, gradients, LEAVES, elements, elements);
  check_same_part(&whole->part[GRADIENT], &sum, GRADIENT, "as a sum over leaves alone");
  pl_free(gradients);
  pl_free(sum.values);
}

/* Three steps on different images, of which a recording executor does the second and third by
 * replays. Random numbers of dropouts can't be replayed. */
static void check_recorded(rig_options options) {
  result plain = run_steps(&options, 3);
  options.record = true;
  result recorded = run_steps(&options, 3);
  check_same(&recorded, &plain, "when work is recorded");
  assert_int_equal(plain.recorded, 0);
  if (options.build == small_text)
    assert_int_equal(recorded.recorded, 0);
  else
    assert_true(recorded.recorded >= 2);
  free_result(&plain);
  free_result(&recorded);
}

static void check_recomputed(rig_options options, const result *kept) {
  options.recompute = true;
  result recomputed = run(&options);
  check_same(&recomputed, kept, "when activations are recomputed");
  free_result(&recomputed);
  if (options.precision == PL_F32) check_recorded(options);
}

/* All promises for one network. Where norms reach over leaves, nothing can be recomputed, and
 * leaves of other executors are out of reach. */
static void check_network(rig_options options) {
  result whole = run(&options), again = run(&options);
  check_same(&again, &whole, "on a second run");
  if (options.precision == PL_F32) check_recorded(options);
  if (options.scope == PL_NORM_MICRO) {
    check_recomputed(options, &whole);
    check_leaves(options, &whole);
  }
  free_result(&whole);
  free_result(&again);
}

static const pl_dtype precisions[] = {PL_F32, PL_BF16};

static void residual_networks(void **state) {
  (void)state;
  for (int p = 0; p < 2; p++) {
    check_network(residual_options(PL_NORM_MICRO, precisions[p]));
    check_network(residual_options(PL_NORM_GLOBAL, precisions[p]));
  }
  check_network(residual_options(PL_NORM_RANK, PL_F32));
}

static void vision_transformers(void **state) {
  (void)state;
  for (int p = 0; p < 2; p++) check_network(vision_options(precisions[p]));
}

static void text_transformers(void **state) {
  (void)state;
  for (int p = 0; p < 2; p++) check_network(text_options(precisions[p]));
}

/* What is recorded reads parameters where they were: it is recorded anew. */
static void recorded_work_follows_the_parameters(void **state) {
  (void)state;
  rig_options options = residual_options(PL_NORM_MICRO, PL_F32);
  options.leaves = 1;
  options.record = true;
  net_rig rig;
  rig_create(&rig, &options);
  for (int i = 0; i < 3; i++) CHECK_OK(rig_step(&rig));
  assert_true(pl_exec_recorded(rig.exec) >= 2);
  part before = copy(rig.out, rig.leaf_out);
  rig_move_image(&rig);
  CHECK_OK(rig_step(&rig));
  part moved = {rig.out, rig.leaf_out};
  check_same_part(&moved, &before, OUT, "when the parameters lie elsewhere");
  pl_free(before.values);
  rig_destroy(&rig);
}

/* What a norm of scope global asks its ranks for goes through the host. */
static pl_status add_of_two(void *context, double *values, size_t n) {
  int *calls = context;
  ++*calls;
  for (size_t i = 0; i < n; i++) values[i] += values[i];
  return PL_OK;
}

/* Without room for recordings, which the emulated device can be told of, work is queued anew. */
static void what_cannot_be_recorded_is_queued(void **state) {
  (void)state;
  rig_options options = vision_options(PL_F32);
  result plain = run_steps(&options, 3);
  options.record = true;
  assert_int_equal(setenv("PLENUM_EMULATED_REFUSES", "recording", 1), 0);
  result queued = run_steps(&options, 3);
  assert_int_equal(unsetenv("PLENUM_EMULATED_REFUSES"), 0);
  check_same(&queued, &plain, "when recordings find no room");
  free_result(&plain);
  free_result(&queued);
}

/* A second rank that has the very same leaves: sums and counts double, so nothing changes. */
static void norms_ask_other_ranks(void **state) {
  (void)state;
  int calls = 0;
  const pl_ranks twins = {.rank = 0, .count = 2, .context = &calls, .sum = add_of_two};
  rig_options options = residual_options(PL_NORM_GLOBAL, PL_F32);
  result alone = run_steps(&options, 1);
  net_rig rig;
  rig_create(&rig, &options);
  pl_exec_destroy(&rig.exec);
  pl_exec_options exec_options = {.leaves = 4, .total_leaves = 8, .ranks = &twins};
  CHECK_OK(pl_exec_create(rig.net, &exec_options, &rig.exec));
  CHECK_OK(rig_step(&rig));
  assert_int_equal(calls, 2 * 5); /* a forward and a backward sum for each of five norms */
  part out = {rig.out, alone.part[OUT].count};
  check_same_part(&out, &alone.part[OUT], OUT, "beside a rank of the same leaves");
  rig_destroy(&rig);
  free_result(&alone);
}

static void inference_uses_running_statistics(void **state) {
  (void)state;
  for (int p = 0; p < 2; p++) {
    rig_options options = residual_options(PL_NORM_MICRO, precisions[p]);
    options.inference = true;
    net_rig cuda, naive;
    rig_create(&cuda, &options);
    options.backend = NULL;
    rig_create(&naive, &options);
    for (int64_t i = 0; i < pl_space_buffer_elements(cuda.space); i++)
      naive.buffers[i] = cuda.buffers[i] = 0.5F + 0.1F * (float)(i % 7);
    CHECK_OK(rig_forward(&cuda));
    CHECK_OK(rig_forward(&naive));
    for (size_t i = 0; i < (size_t)cuda.leaves * cuda.leaf_out; i++)
      CHECK_NEAR(cuda.out[i], naive.out[i], p ? 1e-2 : 1e-5);
    rig_destroy(&cuda);
    rig_destroy(&naive);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(residual_networks),
      cmocka_unit_test(vision_transformers),
      cmocka_unit_test(text_transformers),
      cmocka_unit_test(recorded_work_follows_the_parameters),
      cmocka_unit_test(what_cannot_be_recorded_is_queued),
      cmocka_unit_test(norms_ask_other_ranks),
      cmocka_unit_test(inference_uses_running_statistics),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
