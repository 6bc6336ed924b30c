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
      {unknown_value, "add reads a value th"},
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
      cmocka_unit_test(first_mistake_is_reported),
      cmocka_unit_test(a_network_needs_an_input),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
