/* runtime/net: building a network. */
#include <string.h>

#include "runtime/net/graph.h"
#include "tests/check.h"

static void check_shape(pl_graph *g, pl_value value, int height, int width, int channels) {
  pl_shape shape = pl_graph_value_shape(g, value);
  assert_int_equal(shape.height, height);
  assert_int_equal(shape.width, width);
  assert_int_equal(shape.channels, channels);
}

static void shapes_and_parameters_follow_from_the_calls(void **state) {
  (void)state;
  pl_space *space = NULL;
  pl_graph *g = NULL;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_graph_create(space, "encoder.", &g));
  pl_value x = pl_input(g, (pl_shape){33, 31, 3});
  pl_value conv = pl_conv2d(g, "conv1", x, 8, (pl_window){7, 2, 3});
  check_shape(g, conv, 17, 16, 8);
  pl_value norm = pl_batch_norm(g, "bn1", conv, 1e-5F, 0.1F, 0.5F);
  pl_value relu = pl_relu(g, norm);
  pl_value max = pl_max_pool(g, relu, (pl_window){3, 2, 1});
  check_shape(g, max, 9, 8, 8);
  pl_value sum = pl_add(g, max, max);
  pl_value mean = pl_avg_pool(g, sum, (pl_window){8, 1, 0});
  check_shape(g, mean, 2, 1, 8);
  pl_value z = pl_linear(g, "fc", mean, 5, true);
  check_shape(g, z, 1, 1, 5);
  pl_value unit = pl_l2_normalize(g, z, 1e-12F);
  check_shape(g, unit, 1, 1, 5);
  CHECK_OK(pl_graph_finish(g));

  assert_int_equal(pl_space_params(space), 5);
  const pl_param *weight = pl_space_param(space, pl_space_find(space, "encoder.conv1.weight"));
  assert_int_equal(weight->count, 8 * 3 * 7 * 7);
  assert_int_equal(weight->dim[1], 3);
  assert_int_equal(weight->init.kind, PL_INIT_NORMAL);
  CHECK_NEAR(weight->init.scale, sqrt(2.0 / (8 * 49)), 1e-7);
  const pl_param *gain = pl_space_param(space, pl_space_find(space, "encoder.bn1.weight"));
  assert_int_equal(gain->kind, PL_PARAM_GAIN);
  assert_true(gain->init.scale == 0.5F);
  const pl_param *fc = pl_space_param(space, pl_space_find(space, "encoder.fc.weight"));
  assert_int_equal(fc->dim[0], 5);
  assert_int_equal(fc->dim[1], 16);
  CHECK_NEAR(fc->init.scale, 0.25, 1e-7);
  const pl_param *bias = pl_space_param(space, pl_space_find(space, "encoder.fc.bias"));
  CHECK_NEAR(bias->init.scale, 0.25, 1e-7);
  assert_int_equal(pl_space_buffers(space), 2);
  assert_string_equal(pl_space_buffer(space, 1)->name, "encoder.bn1.running_var");
  assert_string_equal(pl_graph_op(g, relu)->name, "encoder.bn1.relu");
  assert_int_equal(pl_graph_op(g, sum)->inputs, 2);
  pl_graph_destroy(&g);
  assert_null(g);
  pl_space_destroy(&space);
}

static void patches_tile_the_image(void **state) {
  (void)state;
  pl_space *space = NULL;
  pl_graph *g = NULL;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_graph_create(space, "", &g));
  pl_value x = pl_input(g, (pl_shape){32, 24, 3});
  check_shape(g, pl_patches(g, "conv1", x, 10, 8), 4, 3, 10);
  const pl_param *weight = pl_space_param(space, pl_space_find(space, "conv1.weight"));
  assert_int_equal(weight->init.kind, PL_INIT_UNIFORM);
  CHECK_NEAR(weight->init.scale, 1 / sqrt(3.0 * 8 * 8), 1e-7);
  assert_int_equal(pl_patches(g, "conv2", x, 10, 7), -1);
  CHECK_FAILS(PL_E_USAGE, "no multiple of the patch 7", pl_graph_finish(g));
  pl_graph_destroy(&g);
  pl_space_destroy(&space);
}

static const pl_param *find_param(const pl_space *space, const char *name, int64_t rows,
                                  int64_t columns) {
  int index = pl_space_find(space, name);
  assert_true(index >= 0);
  const pl_param *param = pl_space_param(space, index);
  assert_int_equal(param->dim[0], rows);
  assert_int_equal(param->dims, columns ? 2 : 1);
  if (columns) assert_int_equal(param->dim[1], columns);
  return param;
}

static void sequences_have_a_shape(void **state) {
  (void)state;
  pl_space *space = NULL;
  pl_graph *g = NULL;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_graph_create(space, "visual.", &g));
  pl_value x = pl_conv2d(g, "conv1", pl_input(g, (pl_shape){8, 12, 3}), 6, (pl_window){4, 4, 0});
  x = pl_positions(g, "positional_embedding", "class_embedding", x, 0.5F);
  check_shape(g, x, 2 * 3 + 1, 1, 6);
  pl_value norm = pl_layer_norm(g, "ln_1", x, 1e-5F);
  check_shape(g, norm, 7, 1, 6);
  pl_value qkv = pl_linear_each(g, "attn.in_proj_weight", "attn.in_proj_bias", norm, 18, 0.25F);
  check_shape(g, qkv, 7, 1, 18);
  pl_value y = pl_attention(g, "attn", qkv, 2, true);
  check_shape(g, y, 7, 1, 6);
  assert_true(pl_graph_op(g, y)->causal && pl_graph_op(g, y)->heads == 2);
  pl_value first = pl_dropout(g, y, 0.5F), second = pl_dropout(g, first, 0.25F);
  check_shape(g, second, 7, 1, 6);
  assert_int_equal(pl_graph_op(g, first)->number, 0);
  assert_int_equal(pl_graph_op(g, second)->number, 1);
  assert_int_equal(pl_dropout(g, y, 0), y);
  pl_value gelu = pl_gelu_of(g, second, PL_GELU_QUICK);
  check_shape(g, gelu, 7, 1, 6);
  pl_value z = pl_select_position(g, gelu, -1, PL_SELECT_FIRST);
  check_shape(g, z, 1, 1, 6);
  assert_int_equal(pl_graph_op(g, z)->inputs, 1);
  check_shape(g, pl_project(g, "proj", z, 4, true, 0.125F), 1, 1, 4);
  check_shape(g, pl_project(g, "other", z, 4, false, 0.125F), 1, 1, 4);
  CHECK_OK(pl_graph_finish(g));

  const pl_param *places = find_param(space, "visual.positional_embedding", 7, 6);
  assert_true(places->kind == PL_PARAM_WEIGHT && places->init.scale == 0.5F);
  assert_int_equal(find_param(space, "visual.class_embedding", 6, 0)->kind, PL_PARAM_BIAS);
  assert_int_equal(find_param(space, "visual.ln_1.weight", 6, 0)->kind, PL_PARAM_GAIN);
  assert_true(find_param(space, "visual.attn.in_proj_weight", 18, 6)->init.scale == 0.25F);
  assert_true(find_param(space, "visual.attn.in_proj_bias", 18, 0)->init.scale == 0);
  find_param(space, "visual.proj", 6, 4);
  find_param(space, "visual.other", 4, 6);
  pl_graph_destroy(&g);
  pl_space_destroy(&space);
}

static void texts_have_a_shape(void **state) {
  (void)state;
  pl_space *space = NULL;
  pl_graph *g = NULL;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_graph_create(space, "", &g));
  pl_value tokens = pl_tokens(g, 5);
  check_shape(g, tokens, 5, 1, 1);
  pl_value x = pl_embedding(g, "token_embedding", tokens, 20, 6);
  check_shape(g, x, 5, 1, 6);
  x = pl_positions(g, "positional_embedding", NULL, x, 0.01F);
  check_shape(g, x, 5, 1, 6);
  assert_int_equal(pl_graph_op(g, x)->bias, -1);
  pl_value end = pl_select_position(g, x, tokens, PL_SELECT_END);
  assert_int_equal(pl_graph_op(g, end)->inputs, 2);
  assert_int_equal(pl_graph_op(g, end)->input[1], tokens);
  CHECK_OK(pl_graph_finish(g));
  assert_true(find_param(space, "token_embedding.weight", 20, 6)->init.scale == 0.02F);
  assert_int_equal(pl_space_params(space), 2);
  pl_graph_destroy(&g);
  pl_space_destroy(&space);
}

/* Builds a graph with one mistake; the first error must be the one that finish tells. */
typedef pl_value (*mistake)(pl_graph *g, pl_value x);

static pl_value window_too_large(pl_graph *g, pl_value x) {
  return pl_conv2d(g, "c", x, 4, (pl_window){9, 1, 0});
}
static pl_value no_channels(pl_graph *g, pl_value x) {
  return pl_conv2d(g, "c", x, 0, (pl_window){3, 1, 1});
}
static pl_value same_name(pl_graph *g, pl_value x) {
  return pl_linear(g, "fc", pl_linear(g, "fc", x, 4, true), 4, true);
}
static pl_value other_shape(pl_graph *g, pl_value x) {
  return pl_add(g, x, pl_conv2d(g, "c", x, 5, (pl_window){3, 1, 1}));
}
static pl_value padded_too_far(pl_graph *g, pl_value x) {
  return pl_max_pool(g, x, (pl_window){2, 2, 2});
}
static pl_value second_input(pl_graph *g, pl_value x) {
  (void)x;
  return pl_input(g, (pl_shape){1, 1, 1});
}
static pl_value ids_of_an_image(pl_graph *g, pl_value x) { return pl_embedding(g, "e", x, 4, 4); }
static pl_value patches_attend(pl_graph *g, pl_value x) {
  return pl_attention(g, "attn", x, 1, false);
}
static pl_value heads_do_not_divide(pl_graph *g, pl_value x) {
  return pl_attention(g, "attn", pl_positions(g, "p", NULL, x, 1), 2, false);
}
static pl_value rate_of_one(pl_graph *g, pl_value x) { return pl_dropout(g, x, 1); }
static pl_value end_of_an_image(pl_graph *g, pl_value x) {
  return pl_select_position(g, x, x, PL_SELECT_END);
}
static pl_value same_position(pl_graph *g, pl_value x) { return pl_positions(g, "p", "p", x, 1); }
static pl_value unknown_value(pl_graph *g, pl_value x) { return pl_add(g, x, 77); }

static void first_mistake_is_reported(void **state) {
  (void)state;
  const struct {
    mistake make;
    const char *words;
  } cases[] = {
      {window_too_large, "window 9"},          {no_channels, "0 output channels"},
      {same_name, "two tensors with"},         {other_shape, "6×6×3 and 6×6×5 differ"},
      {padded_too_far, "more than half"},      {second_input, "the only one"},
      {unknown_value, "add reads a value th"}, {ids_of_an_image, "not token ids"},
      {patches_attend, "no sequence"},         {heads_do_not_divide, "keys and values of 2 heads"},
      {rate_of_one, "not in [0, 1)"},          {end_of_an_image, "not told by input"},
      {same_position, "two tensors with"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pl_space *space = NULL;
    pl_graph *g = NULL;
    CHECK_OK(pl_space_create(&space));
    CHECK_OK(pl_graph_create(space, "", &g));
    pl_value x = pl_input(g, (pl_shape){6, 6, 3});
    pl_value y = cases[i].make(g, x);
    assert_int_equal(y, -1);
    assert_int_equal(pl_relu(g, pl_linear(g, "later", y, -3, false)), -1);
    assert_true(pl_graph_finish(g) != PL_OK);
    CHECK_FAILS(pl_last_reason()->code, cases[i].words, pl_graph_finish(g));
    pl_graph_destroy(&g);
    pl_space_destroy(&space);
  }
}

static void token_ids_are_no_activations(void **state) {
  (void)state;
  pl_space *space = NULL;
  pl_graph *g = NULL;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_graph_create(space, "", &g));
  assert_int_equal(pl_relu(g, pl_tokens(g, 4)), -1);
  CHECK_FAILS(PL_E_USAGE, "need an embedding", pl_graph_finish(g));
  pl_graph_destroy(&g);
  CHECK_OK(pl_graph_create(space, "", &g));
  pl_value tokens = pl_tokens(g, 4);
  pl_value x = pl_embedding(g, "e", tokens, 4, 4);
  assert_int_equal(pl_add(g, x, tokens), -1);
  CHECK_FAILS(PL_E_USAGE, "need an embedding", pl_graph_finish(g));
  pl_graph_destroy(&g);
  CHECK_OK(pl_graph_create(space, "", &g));
  assert_int_equal(pl_tokens(g, 0), -1);
  CHECK_FAILS(PL_E_USAGE, "shape 0", pl_graph_finish(g));
  pl_graph_destroy(&g);
  pl_space_destroy(&space);
}

static void a_network_needs_an_input(void **state) {
  (void)state;
  pl_space *space = NULL;
  pl_graph *g = NULL;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_graph_create(space, "", &g));
  CHECK_FAILS(PL_E_USAGE, "has no input", pl_graph_finish(g));
  pl_graph_destroy(&g);
  pl_space_destroy(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_and_parameters_follow_from_the_calls),
      cmocka_unit_test(patches_tile_the_image),
      cmocka_unit_test(sequences_have_a_shape),
      cmocka_unit_test(texts_have_a_shape),
      cmocka_unit_test(first_mistake_is_reported),
      cmocka_unit_test(token_ids_are_no_activations),
      cmocka_unit_test(a_network_needs_an_input),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
