/* runtime/net: executing a network over leaves and ranks. */
#include <pthread.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/base/tree.h"
#include "tests/check.h"
#include "tests/unit/net_rig.h"

static const pl_window SAME = {3, 1, 1};

static pl_value norm(pl_graph *g, const char *name, pl_value x) {
  return pl_batch_norm(g, name, x, 1e-5F, 0.1F, 1);
}

/* A stem, a residual block, a head. */
static pl_value network(pl_graph *g, pl_value x) {
  pl_value h = pl_relu(g, norm(g, "bn1", pl_conv2d(g, "conv1", x, 4, SAME)));
  pl_value y = pl_relu(g, norm(g, "bn2", pl_conv2d(g, "conv2", h, 4, SAME)));
  y = norm(g, "bn3", pl_conv2d(g, "conv3", y, 4, SAME));
  h = pl_global_avg_pool(g, pl_relu(g, pl_add(g, y, h)));
  return pl_l2_normalize(g, pl_linear(g, "fc", h, 3, true), 1e-12F);
}

static pl_value norm_alone(pl_graph *g, pl_value x) { return norm(g, "n", x); }

/* Ranks as threads of this process: a sum is a meeting of all. */
enum { MOST_RANKS = 4, MOST_SUMS = 64 };

typedef struct meeting {
  pthread_barrier_t barrier;
  int count;
  double brought[MOST_RANKS][MOST_SUMS];
} meeting;

typedef struct member {
  meeting *at;
  pl_ranks ranks;
  net_rig rig;
  pthread_t thread;
  pl_status status;
} member;

static pl_status meet(void *context, double *values, size_t n) {
  member *m = context;
  meeting *at = m->at;
  if (n > MOST_SUMS) return PL_FAIL(PL_E_INTERNAL, "%zu sums are too many", n);
  memcpy(at->brought[m->ranks.rank], values, n * sizeof *values);
  pthread_barrier_wait(&at->barrier);
  pl_tree_sum_f64(values, at->brought[0], at->count, MOST_SUMS, n);
  pthread_barrier_wait(&at->barrier);
  return PL_OK;
}

static void *run_member(void *context) {
  member *m = context;
  /* Two steps, so that running statistics move on from moved ones. */
  m->status = rig_step(&m->rig);
  if (m->status == PL_OK) m->status = rig_step(&m->rig);
  return NULL;
}

/* What a global batch gave, whichever ranks computed it. */
typedef struct batch_result {
  float *out, *gradient, *buffers;
  size_t out_count, gradient_count, buffer_count;
} batch_result;

static void gather_results(const member *members, int ranks, batch_result *result) {
  const net_rig *first = &members[0].rig;
  result->gradient_count = (size_t)pl_space_elements(first->space);
  result->buffer_count = (size_t)pl_space_buffer_elements(first->space);
  result->out_count = (size_t)first->options.leaves * first->leaf_out;
  result->out = pl_alloc(result->out_count, sizeof(float));
  result->gradient = pl_alloc(result->gradient_count, sizeof(float));
  result->buffers = pl_alloc(result->buffer_count, sizeof(float));
  float *gradients = pl_alloc((size_t)ranks * result->gradient_count, sizeof(float));
  assert_true(result->out && result->gradient && result->buffers && gradients);
  for (int r = 0; r < ranks; r++) {
    const net_rig *rig = &members[r].rig;
    memcpy(result->out + (size_t)rig->first_leaf * rig->leaf_out, rig->out,
           (size_t)rig->leaves * rig->leaf_out * sizeof(float));
    memcpy(gradients + (size_t)r * result->gradient_count, pl_gradsum_total(rig->sums),
           result->gradient_count * sizeof(float));
    assert_memory_equal(rig->buffers, first->buffers, result->buffer_count * sizeof(float));
  }
  pl_tree_sum_f32(result->gradient, gradients, ranks, result->gradient_count,
                  result->gradient_count);
  memcpy(result->buffers, first->buffers, result->buffer_count * sizeof(float));
  pl_free(gradients);
}

static void run_on_ranks(rig_options options, int ranks, batch_result *result) {
  meeting at = {.count = ranks};
  member members[MOST_RANKS];
  memset(members, 0, sizeof members);
  assert_int_equal(pthread_barrier_init(&at.barrier, NULL, (unsigned)ranks), 0);
  for (int r = 0; r < ranks; r++) {
    members[r].at = &at;
    members[r].ranks = (pl_ranks){.rank = r, .count = ranks, .context = &members[r], .sum = meet};
    options.rank_count = ranks;
    options.rank = r;
    options.ranks = &members[r].ranks;
    rig_create(&members[r].rig, &options);
  }
  for (int r = 0; r < ranks; r++) {
    assert_int_equal(pthread_create(&members[r].thread, NULL, run_member, &members[r]), 0);
  }
  for (int r = 0; r < ranks; r++) pthread_join(members[r].thread, NULL);
  for (int r = 0; r < ranks; r++) assert_int_equal(members[r].status, PL_OK);
  gather_results(members, ranks, result);
  for (int r = 0; r < ranks; r++) rig_destroy(&members[r].rig);
  pthread_barrier_destroy(&at.barrier);
}

static void free_result(batch_result *result) {
  pl_free(result->out);
  pl_free(result->gradient);
  pl_free(result->buffers);
}

static void check_same_bits(const batch_result *a, const batch_result *b) {
  assert_memory_equal(a->out, b->out, a->out_count * sizeof(float));
  assert_memory_equal(a->gradient, b->gradient, a->gradient_count * sizeof(float));
  assert_memory_equal(a->buffers, b->buffers, a->buffer_count * sizeof(float));
}

static rig_options network_options(int64_t leaves, pl_norm_scope scope, pl_dtype precision) {
  return (rig_options){.build = network,
                       .shape = {5, 5, 3},
                       .rows = 2,
                       .leaves = leaves,
                       .scope = scope,
                       .precision = precision};
}

/* Outputs, gradients and running statistics of one batch must be the same bits on 1, 2 and 4 ranks.
 */
static void ranks_change_no_bit(void **state) {
  (void)state;
  const pl_norm_scope scopes[] = {PL_NORM_MICRO, PL_NORM_GLOBAL};
  const pl_dtype precisions[] = {PL_F32, PL_BF16};
  for (int64_t leaves = 4; leaves <= 11; leaves += 7) {
    for (int i = 0; i < 4; i++) {
      rig_options options = network_options(leaves, scopes[i % 2], precisions[i / 2]);
      batch_result alone;
      run_on_ranks(options, 1, &alone);
      for (int ranks = 2; ranks <= MOST_RANKS; ranks *= 2) {
        batch_result several;
        run_on_ranks(options, ranks, &several);
        check_same_bits(&several, &alone);
        free_result(&several);
      }
      free_result(&alone);
    }
  }
}

/* On three ranks sums are cut elsewhere in the tree: the same within rounding. */
static void three_ranks_agree_within_rounding(void **state) {
  (void)state;
  rig_options options = network_options(7, PL_NORM_GLOBAL, PL_F32);
  batch_result alone;
  batch_result three;
  run_on_ranks(options, 1, &alone);
  run_on_ranks(options, 3, &three);
  for (size_t i = 0; i < alone.out_count; i++) CHECK_NEAR(three.out[i], alone.out[i], 1e-5);
  for (size_t i = 0; i < alone.gradient_count; i++) {
    CHECK_NEAR(three.gradient[i], alone.gradient[i], 1e-4);
  }
  for (size_t i = 0; i < alone.buffer_count; i++) {
    CHECK_NEAR(three.buffers[i], alone.buffers[i], 1e-6);
  }
  free_result(&alone);
  free_result(&three);
}

/* Global statistics over leaves are those of one leaf that holds all rows. */
static void global_scope_is_one_large_batch(void **state) {
  (void)state;
  rig_options options = {
      .build = norm_alone, .shape = {3, 3, 4}, .rows = 2, .leaves = 6, .scope = PL_NORM_GLOBAL};
  net_rig rig;
  rig_create(&rig, &options);
  CHECK_OK(rig_forward(&rig));
  const int channels = 4;
  const int per_channel = 6 * 2 * 9;
  for (int c = 0; c < channels; c++) {
    /* gain 1 and bias 0 are off by what the rig added, so undo them by their parameters */
    const pl_param *gain = pl_space_param(rig.space, 0);
    const pl_param *bias = pl_space_param(rig.space, 1);
    double g = ((const float *)(const void *)(rig.image + gain->image_offset))[c];
    double b = ((const float *)(const void *)(rig.image + bias->image_offset))[c];
    double mean = 0;
    double square = 0;
    for (int i = 0; i < per_channel; i++) {
      double y = ((double)rig.out[i * channels + c] - b) / g;
      mean += y / per_channel;
      square += y * y / per_channel;
    }
    CHECK_NEAR(mean, 0, 1e-6);
    CHECK_NEAR(square, 1, 1e-4);
  }
  rig_destroy(&rig);
}

/* Mean and unbiased variance of channel c over the leaves [first, first + count). */
static void naive_statistics(const net_rig *rig, int64_t first, int64_t count, int c, int channels,
                             double *mean, double *variance) {
  float *images = pl_alloc(rig->leaf_in, sizeof *images);
  assert_non_null(images);
  double n = 0;
  double sum = 0;
  double squares = 0;
  for (int64_t leaf = first; leaf < first + count; leaf++) {
    rig_images(rig, leaf, images);
    for (size_t i = (size_t)c; i < rig->leaf_in; i += (size_t)channels, n++) {
      sum += (double)images[i];
      squares += (double)images[i] * (double)images[i];
    }
  }
  *mean = sum / n;
  *variance = (squares - sum * sum / n) / (n - 1);
  pl_free(images);
}

/* One step of momentum 0.1 from mean 0 and variance 1: the statistics of the whole batch (scope
 * global), or the mean of those of its `parts` (leaves or ranks). */
static void check_running(pl_norm_scope scope, int ranks, int parts) {
  enum { CHANNELS = 3, LEAVES = 4 };
  rig_options options = {
      .build = norm_alone, .shape = {2, 3, CHANNELS}, .rows = 2, .leaves = LEAVES, .scope = scope};
  batch_result result;
  run_on_ranks(options, ranks, &result);
  net_rig rig;
  rig_create(&rig, &options);
  for (int c = 0; c < CHANNELS; c++) {
    double mean = 0;
    double variance = 0;
    for (int part = 0; part < parts; part++) {
      double m;
      double v;
      naive_statistics(&rig, part * LEAVES / parts, LEAVES / parts, c, CHANNELS, &m, &v);
      mean += m / parts;
      variance += v / parts;
    }
    /* two steps of the same batch */
    CHECK_NEAR(result.buffers[c], 0.19 * mean, 1e-6);
    CHECK_NEAR(result.buffers[CHANNELS + c], 0.81 + 0.19 * variance, 1e-6);
  }
  rig_destroy(&rig);
  free_result(&result);
}

static void running_statistics_follow_the_scope(void **state) {
  (void)state;
  check_running(PL_NORM_MICRO, 1, 4);
  check_running(PL_NORM_MICRO, 2, 4);
  check_running(PL_NORM_RANK, 1, 1);
  check_running(PL_NORM_RANK, 2, 2);
  check_running(PL_NORM_GLOBAL, 1, 1);
  check_running(PL_NORM_GLOBAL, 2, 1);
}

static void inference_uses_running_statistics(void **state) {
  (void)state;
  rig_options options = {
      .build = norm_alone, .shape = {2, 2, 3}, .rows = 3, .leaves = 2, .inference = true};
  net_rig rig;
  rig_create(&rig, &options);
  for (int c = 0; c < 3; c++) {
    rig.buffers[c] = 0.5F * (float)c;
    rig.buffers[3 + c] = 4;
  }
  CHECK_OK(rig_forward(&rig));
  float *images = pl_alloc(rig.leaf_in, sizeof *images);
  assert_non_null(images);
  const float *gain = (const float *)(const void *)(rig.image + 0);
  const float *bias = gain + PL_BLOCK;
  for (int64_t leaf = 0; leaf < 2; leaf++) {
    rig_images(&rig, leaf, images);
    for (size_t i = 0; i < rig.leaf_in; i++) {
      size_t c = i % 3;
      double y = ((double)images[i] - 0.5 * (double)c) / sqrt(4 + 1e-5) * (double)gain[c] +
                 (double)bias[c];
      CHECK_NEAR(rig.out[(size_t)leaf * rig.leaf_out + i], y, 1e-6);
    }
  }
  assert_true(rig.buffers[0] == 0 && rig.buffers[3] == 4);
  CHECK_FAILS(PL_E_INTERNAL, "backward without", rig_step(&rig));
  pl_free(images);
  rig_destroy(&rig);
}

/* Recomputing gives the same bits from the memory of one leaf. */
static void recomputing_changes_no_bit(void **state) {
  (void)state;
  rig_options options = network_options(5, PL_NORM_MICRO, PL_F32);
  batch_result kept;
  batch_result recomputed;
  run_on_ranks(options, 1, &kept);
  options.recompute = true;
  run_on_ranks(options, 1, &recomputed);
  check_same_bits(&recomputed, &kept);
  free_result(&kept);
  free_result(&recomputed);

  net_rig rig;
  rig_create(&rig, &options);
  size_t of_recomputing = pl_exec_bytes(rig.exec);
  CHECK_OK(rig_step(&rig));
  assert_int_equal(rig.fetches, 2 * 5);
  rig_destroy(&rig);
  options.recompute = false;
  rig_create(&rig, &options);
  CHECK_OK(rig_step(&rig));
  assert_int_equal(rig.fetches, 5);
  size_t held = pl_net_get_costs(rig.net).held_bytes;
  assert_int_equal(pl_exec_bytes(rig.exec) - of_recomputing, 4 * held);
  CHECK_FAILS(PL_E_INTERNAL, "backward without",
              pl_exec_backward(rig.exec, NULL, NULL, rig.dout, rig.sums));
  rig_destroy(&rig);
}

static void recomputing_wide_norms_is_refused(void **state) {
  (void)state;
  rig_options options = network_options(2, PL_NORM_GLOBAL, PL_F32);
  net_rig rig;
  rig_create(&rig, &options);
  pl_exec *exec = NULL;
  pl_exec_options exec_options = {
      .leaves = 2, .total_leaves = 2, .recompute = true, .ranks = &rig.alone};
  CHECK_FAILS(PL_E_USAGE, "scope global", pl_exec_create(rig.net, &exec_options, &exec));
  exec_options.recompute = false;
  exec_options.leaves = 0;
  CHECK_FAILS(PL_E_INTERNAL, "0 of 2 leaves", pl_exec_create(rig.net, &exec_options, &exec));
  assert_null(exec);
  rig_destroy(&rig);
}

static void times_cover_every_operation(void **state) {
  (void)state;
  rig_options options = network_options(3, PL_NORM_GLOBAL, PL_F32);
  net_rig rig;
  rig_create(&rig, &options);
  int count = 0;
  const pl_exec_time *times = pl_exec_times(rig.exec, &count);
  CHECK_OK(rig_step(&rig));
  double forward = 0;
  double backward = 0;
  for (int i = 0; i < count; i++) {
    assert_true(times[i].forward_ms > 0);
    assert_true(times[i].backward_ms > 0 || times[i].op->kind == PL_OP_INPUT);
    forward += times[i].forward_flops;
    backward += times[i].backward_flops;
  }
  pl_net_costs costs = pl_net_get_costs(rig.net);
  assert_true(forward > 0 && forward == costs.forward_flops);
  assert_true(backward > 0 && backward == costs.backward_flops);
  rig_destroy(&rig);
}

static pl_status broken_fetch(void *context, int64_t leaf, pl_exec_input *images) {
  (void)context;
  (void)images;
  return PL_FAIL(PL_E_DATA, "no image %d", (int)leaf);
}

static void errors_of_the_source_come_through(void **state) {
  (void)state;
  rig_options options = network_options(2, PL_NORM_MICRO, PL_F32);
  net_rig rig;
  rig_create(&rig, &options);
  CHECK_OK(rig_load(&rig));
  CHECK_FAILS(PL_E_DATA, "no image 0",
              pl_exec_forward(rig.exec, broken_fetch, NULL, rig.out, rig.buffers));
  rig_destroy(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranks_change_no_bit),
      cmocka_unit_test(three_ranks_agree_within_rounding),
      cmocka_unit_test(global_scope_is_one_large_batch),
      cmocka_unit_test(running_statistics_follow_the_scope),
      cmocka_unit_test(inference_uses_running_statistics),
      cmocka_unit_test(recomputing_changes_no_bit),
      cmocka_unit_test(recomputing_wide_norms_is_refused),
      cmocka_unit_test(times_cover_every_operation),
      cmocka_unit_test(errors_of_the_source_come_through),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
