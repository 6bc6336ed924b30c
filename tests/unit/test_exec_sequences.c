/* runtime/net: executing networks of sequences: token ids come in, and dropouts draw the same
 * numbers whoever computes a leaf, and whenever. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/cpu/cpu.h"
#include "runtime/tensor/gradsum.h"
#include "tests/check.h"
#include "tests/unit/net_rig.h"

enum { LENGTH = 6, CHANNELS = 8, VOCABULARY = 7 };

static pl_value block(pl_graph *g, pl_value x) {
  pl_value qkv = pl_linear_each(g, "in.weight", "in.bias", pl_layer_norm(g, "ln", x, 1e-5F),
                                3 * CHANNELS, 0.2F);
  pl_value y = pl_attention(g, "attn", qkv, 2, true);
  y = pl_linear_each(g, "out.weight", "out.bias", y, CHANNELS, 0.2F);
  return pl_add(g, x, pl_dropout(g, pl_gelu_of(g, y, PL_GELU_QUICK), 0.3F));
}

static pl_value text_network(pl_graph *g, pl_value tokens) {
  pl_value x = pl_embedding(g, "tokens", tokens, VOCABULARY, CHANNELS);
  x = block(g, pl_dropout(g, pl_positions(g, "p", NULL, x, 0.3F), 0.2F));
  x = pl_select_position(g, x, tokens, PL_SELECT_END);
  return pl_l2_normalize(g, pl_project(g, "head", x, 5, true, 0.3F), 1e-12F);
}

/* What one batch gave. */
typedef struct result {
  float *out, *gradient;
  size_t out_count, gradient_count;
} result;

static rig_options text_options(pl_dtype precision) {
  return (rig_options){.build = text_network,
                       .shape = {LENGTH, 1, 1},
                       .vocabulary = VOCABULARY,
                       .rows = 3,
                       .leaves = 4,
                       .precision = precision,
                       .backend = pl_cpu_backend(),
                       .draw_step = 2};
}

static void *copy(const void *from, size_t bytes) {
  void *to = pl_alloc(bytes, 1);
  assert_non_null(to);
  memcpy(to, from, bytes);
  return to;
}

static result run(rig_options options) {
  net_rig rig;
  rig_create(&rig, &options);
  CHECK_OK(rig_step(&rig));
  result r = {.out_count = (size_t)rig.leaves * rig.leaf_out,
              .gradient_count = (size_t)pl_space_elements(rig.space)};
  r.out = copy(rig.out, r.out_count * sizeof(float));
  r.gradient = copy(pl_gradsum_total(rig.sums), r.gradient_count * sizeof(float));
  rig_destroy(&rig);
  return r;
}

static void free_result(result *r) {
  pl_free(r->out);
  pl_free(r->gradient);
}

static void for_precisions(void (*check)(rig_options options)) {
  check(text_options(PL_F32));
  if (pl_cpu_has_bf16()) check(text_options(PL_BF16));
}

static void check_recompute(rig_options options) {
  result kept = run(options);
  options.recompute = true;
  result again = run(options);
  assert_memory_equal(again.out, kept.out, kept.out_count * sizeof(float));
  assert_memory_equal(again.gradient, kept.gradient, kept.gradient_count * sizeof(float));
  free_result(&kept);
  free_result(&again);
}

static void recomputing_draws_the_same(void **state) {
  (void)state;
  for_precisions(check_recompute);
}

/* Two ranks of two leaves each give what one rank of four does. */
static void check_ranks(rig_options options) {
  result alone = run(options);
  options.rank_count = 2;
  result half[2];
  for (options.rank = 0; options.rank < 2; options.rank++) half[options.rank] = run(options);
  for (int rank = 0; rank < 2; rank++) {
    assert_memory_equal(half[rank].out, alone.out + (size_t)rank * half[rank].out_count,
                        half[rank].out_count * sizeof(float));
  }
  for (size_t i = 0; i < alone.gradient_count; i++) {
    float sum = half[0].gradient[i] + half[1].gradient[i];
    assert_memory_equal(&sum, &alone.gradient[i], sizeof sum);
  }
  free_result(&alone);
  free_result(&half[0]);
  free_result(&half[1]);
}

static void ranks_draw_the_same(void **state) {
  (void)state;
  for_precisions(check_ranks);
}

static bool same_outputs(const result *a, const result *b) {
  return memcmp(a->out, b->out, a->out_count * sizeof(float)) == 0;
}

static void steps_draw_anew(void **state) {
  (void)state;
  rig_options options = text_options(PL_F32);
  result first = run(options);
  result again = run(options);
  options.draw_step++;
  result next = run(options);
  assert_true(same_outputs(&first, &again));
  assert_false(same_outputs(&first, &next));
  free_result(&first);
  free_result(&again);
  free_result(&next);
}

/* Without dropout a step changes nothing, and the ids that come in decide what comes out. */
static void inference_draws_nothing(void **state) {
  (void)state;
  rig_options options = text_options(PL_F32);
  options.inference = true;
  net_rig rig;
  rig_create(&rig, &options);
  CHECK_OK(rig_forward(&rig));
  float *first = copy(rig.out, rig.leaf_out * sizeof(float));
  rig.options.draw_step++;
  CHECK_OK(rig_forward(&rig));
  assert_memory_equal(rig.out, first, rig.leaf_out * sizeof(float));
  int32_t ids[2][3 * LENGTH];
  for (int64_t leaf = 0; leaf < 2; leaf++) rig_tokens(&rig, leaf, ids[leaf]);
  assert_memory_not_equal(ids[0], ids[1], sizeof ids[0]);
  assert_memory_not_equal(rig.out, rig.out + rig.leaf_out, rig.leaf_out * sizeof(float));
  pl_free(first);
  rig_destroy(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(recomputing_draws_the_same),
      cmocka_unit_test(ranks_draw_the_same),
      cmocka_unit_test(steps_draw_anew),
      cmocka_unit_test(inference_draws_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
