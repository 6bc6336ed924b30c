/* runtime/net: what compiling makes of a graph. */
#include <string.h>

#include "runtime/net/plan.h"
#include "tests/check.h"
#include "tests/unit/net_rig.h"
#include "tests/unit/reference_backend.h"

static const pl_window SAME = {3, 1, 1};

static pl_value norm(pl_graph *g, const char *name, pl_value x) {
  return pl_batch_norm(g, name, x, 1e-5F, 0.1F, 1);
}

static const pl_step *find_step(const pl_net *net, const char *name) {
  for (int i = 0; i < net->steps; i++) {
    if (strcmp(net->step[i].op.name, name) == 0) return &net->step[i];
  }
  return NULL;
}

static pl_value projected_block(pl_graph *g, pl_value x) {
  pl_value h = pl_relu(g, norm(g, "bn1", pl_conv2d(g, "conv1", x, 4, SAME)));
  pl_value y = norm(g, "bn2", pl_conv2d(g, "conv2", h, 4, SAME));
  pl_value skip = norm(g, "bn3", pl_conv2d(g, "conv3", x, 4, SAME));
  return pl_relu(g, pl_add(g, y, skip));
}

static void norms_take_in_additions_and_relus(void **state) {
  (void)state;
  net_rig rig;
  rig_create(&rig,
             &(rig_options){.build = projected_block, .shape = {4, 4, 3}, .rows = 2, .leaves = 1});
  const pl_net *net = rig.net;
  assert_int_equal(net->steps, 1 + 3 + 3); /* input, convolutions, norms */
  const pl_op *bn1 = &find_step(net, "bn1")->op;
  assert_true(bn1->fused_relu && !bn1->fused_add);
  /* Of the two norms that are added the later one takes the other's value as its skip. */
  const pl_op *bn2 = &find_step(net, "bn2")->op;
  const pl_op *bn3 = &find_step(net, "bn3")->op;
  assert_true(!bn2->fused_relu && !bn2->fused_add);
  assert_true(bn3->fused_relu && bn3->fused_add);
  assert_int_equal(bn3->inputs, 2);
  assert_int_equal(bn3->input[1], bn2->output);
  assert_int_equal(bn3->output, net->options.output);
  assert_false(find_step(net, "conv1")->spec.need_dx);
  assert_true(find_step(net, "conv2")->spec.need_dx);
  rig_destroy(&rig);
}

/* The norm's and the sum's values are read elsewhere too, so they must exist. */
static pl_value shared_values(pl_graph *g, pl_value x) {
  pl_value n = norm(g, "bn", pl_conv2d(g, "conv", x, 3, SAME));
  pl_value sum = pl_add(g, n, x);
  return pl_add(g, pl_add(g, pl_relu(g, sum), sum), pl_relu(g, n));
}

static void values_with_other_readers_stay(void **state) {
  (void)state;
  net_rig rig;
  rig_create(&rig,
             &(rig_options){.build = shared_values, .shape = {4, 4, 3}, .rows = 2, .leaves = 1});
  assert_int_equal(rig.net->steps, 8);
  assert_false(find_step(rig.net, "bn")->op.fused_relu);
  rig_destroy(&rig);
}

static void only_what_the_output_needs_is_compiled(void **state) {
  (void)state;
  pl_space *space = NULL;
  pl_graph *g = NULL;
  pl_net *net = NULL;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_graph_create(space, "", &g));
  pl_value x = pl_input(g, (pl_shape){1, 1, 4});
  pl_value features = pl_linear(g, "encoder", x, 6, true);
  pl_linear(g, "projector", features, 2, true);
  CHECK_OK(pl_graph_finish(g));
  CHECK_OK(pl_space_seal(space, PL_F32, 1 << 16));
  pl_net_options options = {
      .backend = pl_reference_backend(), .output = features, .rows = 3, .precision = PL_F32};
  CHECK_OK(pl_net_compile(g, &options, &net));
  assert_int_equal(net->steps, 2);
  assert_int_equal(pl_net_output_features(net), 6);
  assert_int_equal(pl_net_input_shape(net).channels, 4);
  pl_net_destroy(&net);
  assert_null(net);
  options.output = 17;
  CHECK_FAILS(PL_E_INTERNAL, "not a value", pl_net_compile(g, &options, &net));
  pl_graph_destroy(&g);
  pl_space_destroy(&space);
}

static pl_value two_layers(pl_graph *g, pl_value x) {
  return pl_linear(g, "b", pl_relu(g, pl_linear(g, "a", x, 8, true)), 3, true);
}

/* Counted by hand, 16 rows of 4 → 8 → 8 → 3 numbers of 4 bytes. */
static void memory_and_work_are_exact(void **state) {
  (void)state;
  net_rig rig;
  rig_options options = {.build = two_layers, .shape = {1, 1, 4}, .rows = 16, .leaves = 5};
  rig_create(&rig, &options);
  pl_net_costs costs = pl_net_get_costs(rig.net);
  /* The input (for a's weights) and the ReLU's value (for its own mask and b's weights). */
  assert_int_equal(costs.held_bytes, 256 + 512);
  /* Most at once: the gradients of both values of 8 numbers. */
  assert_int_equal(costs.scratch_bytes, 512 + 512);
  assert_int_equal(pl_exec_bytes(rig.exec), 5 * 768 + 1024);
  const double relu = 16 * 8;
  assert_true(costs.forward_flops == 2.0 * 16 * (4 * 8 + 8 * 3) + relu);
  /* The input needs no gradient. */
  assert_true(costs.backward_flops == 2.0 * 16 * (4 * 8 + 2 * 8 * 3) + relu);
  rig_destroy(&rig);

  options.inference = true;
  rig_create(&rig, &options);
  costs = pl_net_get_costs(rig.net);
  assert_int_equal(costs.held_bytes, 0);
  assert_int_equal(costs.scratch_bytes, 512 + 512);
  assert_true(costs.backward_flops == 0);
  rig_destroy(&rig);
}

/* A reference backend that can't write f32 from bf16, or that lacks pooling. */
static const char *supports_equal_types(const pl_kernel_spec *spec) {
  if (spec->op->kind == PL_OP_MAX_POOL) return "there is no pooling";
  return spec->in_type == spec->out_type ? NULL : "types differ";
}

static void outputs_are_f32(void **state) {
  (void)state;
  pl_backend limited = *pl_reference_backend();
  limited.supports = supports_equal_types;
  rig_options options = {.build = projected_block, .shape = {4, 4, 3}, .rows = 2, .leaves = 3};
  net_rig f32;
  net_rig bf16;
  net_rig converted;
  rig_create(&f32, &options);
  options.precision = PL_BF16;
  rig_create(&bf16, &options);
  options.backend = &limited;
  rig_create(&converted, &options);
  assert_int_equal(bf16.net->output_type, PL_F32);
  assert_int_equal(converted.net->output_type, PL_BF16);
  CHECK_OK(rig_step(&f32));
  CHECK_OK(rig_step(&bf16));
  CHECK_OK(rig_step(&converted));
  bool finer = false; /* than bf16 */
  for (size_t i = 0; i < 3 * f32.leaf_out; i++) {
    /* bf16 rounds to 8 bits: weights, activations, and then the output itself */
    CHECK_NEAR(bf16.out[i], f32.out[i], 0.05);
    CHECK_NEAR(converted.out[i], bf16.out[i], 1.0 / 256);
    assert_true(pl_bf16_to_f32(pl_f32_to_bf16(converted.out[i])) == converted.out[i]);
    finer |= pl_bf16_to_f32(pl_f32_to_bf16(bf16.out[i])) != bf16.out[i];
  }
  assert_true(finer);
  for (int64_t i = 0; i < pl_space_elements(f32.space); i++) {
    double f = (double)pl_gradsum_total(f32.sums)[i];
    CHECK_NEAR(pl_gradsum_total(bf16.sums)[i], f, 0.5);
    CHECK_NEAR(pl_gradsum_total(converted.sums)[i], f, 0.5);
  }
  rig_destroy(&f32);
  rig_destroy(&bf16);
  rig_destroy(&converted);
}

static void what_the_backend_lacks_is_named(void **state) {
  (void)state;
  pl_backend limited = *pl_reference_backend();
  limited.supports = supports_equal_types;
  pl_space *space = NULL;
  pl_graph *g = NULL;
  pl_net *net = NULL;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_graph_create(space, "encoder.", &g));
  pl_value x = pl_conv2d(g, "conv1", pl_input(g, (pl_shape){4, 4, 3}), 2, SAME);
  pl_value pooled = pl_max_pool(g, x, (pl_window){2, 2, 0});
  CHECK_OK(pl_graph_finish(g));
  CHECK_OK(pl_space_seal(space, PL_F32, 1 << 16));
  pl_net_options options = {
      .backend = &limited, .output = pooled, .rows = 1, .precision = PL_F32, .training = true};
  CHECK_FAILS(PL_E_USAGE,
              "encoder.conv1.max_pool can't be computed by the reference backend: there is no p",
              pl_net_compile(g, &options, &net));
  assert_null(net);
  pl_graph_destroy(&g);
  pl_space_destroy(&space);
}

/* Reads texts: the ids are needed again by the selection's backward pass, and nobody asks for their
 * gradient. */
static pl_value text_network(pl_graph *g, pl_value tokens) {
  pl_value x = pl_dropout(g, pl_embedding(g, "embedding", tokens, 9, 8), 0.5F);
  x = pl_select_position(g, pl_dropout(g, x, 0.5F), tokens, PL_SELECT_END);
  return pl_linear(g, "head", x, 3, false);
}

static void token_ids_get_no_gradient(void **state) {
  (void)state;
  net_rig rig;
  rig_options options = {
      .build = text_network, .vocabulary = 9, .shape = {4, 1, 1}, .rows = 16, .leaves = 1};
  rig_create(&rig, &options);
  assert_int_equal(rig.net->steps, 1 + 5);
  const pl_step *embedding = find_step(rig.net, "embedding");
  assert_true(embedding->spec.in_type == PL_I32 && !embedding->spec.need_dx);
  assert_true(embedding->backward);
  const pl_step *select = &rig.net->step[4];
  assert_int_equal(select->op.kind, PL_OP_SELECT);
  assert_false(pl_net_needs_dskip(rig.net, select));
  assert_int_equal(select->dskip_part.arena, PL_ARENA_NONE);
  assert_int_equal(rig.net->gradient[0].arena, PL_ARENA_NONE);
  assert_int_equal(rig.net->value[0].arena, PL_ARENA_HELD);
  /* 64 ids, and the head's 16 × 8 inputs */
  assert_int_equal(pl_net_get_costs(rig.net).held_bytes, 256 + 512);
  rig_destroy(&rig);
}

/* Two blocks of a residual stream, and a sum whose summands are both read elsewhere. */
static pl_value residual_stream(pl_graph *g, pl_value x) {
  pl_value stream = pl_linear(g, "stem", x, 8, true);
  stream = pl_add(g, stream, pl_linear(g, "first", pl_relu(g, stream), 8, true));
  stream = pl_add(g, pl_linear(g, "second", pl_relu(g, stream), 8, true), stream);
  pl_value other = pl_linear(g, "other", stream, 8, true);
  pl_value sum = pl_add(g, other, stream), positive = pl_relu(g, other);
  return pl_linear(g, "head", pl_add(g, sum, positive), 3, true);
}

static bool same_gradient(const pl_net *net, pl_value a, pl_value b) {
  const pl_place *place = net->gradient;
  return place[a].arena == place[b].arena && place[a].offset == place[b].offset;
}

/* But where a summand's gradient has begun already: here that of `other`, by the relu. */
static void gradients_of_sums_are_not_copied(void **state) {
  (void)state;
  net_rig rig;
  rig_options options = {.build = residual_stream, .shape = {1, 1, 8}, .rows = 2, .leaves = 1};
  rig_create(&rig, &options);
  int sums = 0, copied = 0;
  for (int i = 0; i < rig.net->steps; i++) {
    const pl_step *step = &rig.net->step[i];
    if (step->op.kind != PL_OP_ADD) continue;
    const bool shares[] = {step->shares_dx, step->shares_dskip};
    sums++;
    for (int k = 0; k < 2; k++) {
      copied += !shares[k];
      assert_int_equal(shares[k], same_gradient(rig.net, step->op.input[k], step->op.output));
    }
  }
  assert_int_equal(sums, 4);
  assert_int_equal(copied, 1);
  rig_destroy(&rig);
}

static pl_value dropped_input(pl_graph *g, pl_value x) {
  return pl_dropout(g, pl_linear(g, "a", pl_dropout(g, x, 0.5F), 4, true), 0.5F);
}

static void dropouts_are_for_training(void **state) {
  (void)state;
  net_rig rig;
  rig_options options = {.build = dropped_input, .shape = {1, 1, 4}, .rows = 2, .leaves = 1};
  rig_create(&rig, &options);
  assert_int_equal(rig.net->steps, 4);
  /* Before any parameter a gradient is nobody's. */
  assert_false(rig.net->step[1].backward);
  rig_destroy(&rig);
  options.inference = true;
  rig_create(&rig, &options);
  assert_int_equal(rig.net->steps, 2);
  assert_int_equal(rig.net->step[1].op.input[0], 0);
  assert_int_equal(pl_net_output_features(rig.net), 4);
  rig_destroy(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(norms_take_in_additions_and_relus),
      cmocka_unit_test(values_with_other_readers_stay),
      cmocka_unit_test(only_what_the_output_needs_is_compiled),
      cmocka_unit_test(memory_and_work_are_exact),
      cmocka_unit_test(outputs_are_f32),
      cmocka_unit_test(what_the_backend_lacks_is_named),
      cmocka_unit_test(token_ids_get_no_gradient),
      cmocka_unit_test(gradients_of_sums_are_not_copied),
      cmocka_unit_test(dropouts_are_for_training),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
