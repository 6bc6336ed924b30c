/* Gradients of the processor backend in f32: every operation against central differences of its own
 * forward pass, and a small residual network against the naive backend and against differences of
 * its loss. */
#include <string.h>

#include "runtime/cpu/cpu.h"
#include "tests/check.h"
#include "tests/unit/net_rig.h"
#include "tests/unit/op_fixture.h"

#define STEP 0x1p-6          /* added to and taken from each element */
#define TOLERANCE 1e-3       /* of the root mean square of the gradient */
enum { ELEMENTS_MOST = 64 }; /* looked at in each array, spread over it */

static const op_setup setups[] = {
    {.name = "conv 3x3",
     .kind = PL_OP_CONV,
     .rows = 3,
     .in = {5, 6, 3},
     .out_channels = 5,
     .window = {3, 1, 1}},
    {.name = "conv 3x3 / 2",
     .kind = PL_OP_CONV,
     .rows = 2,
     .in = {7, 7, 4},
     .out_channels = 3,
     .window = {3, 2, 1}},
    {.name = "conv 1x1 / 2",
     .kind = PL_OP_CONV,
     .rows = 2,
     .in = {6, 6, 4},
     .out_channels = 6,
     .window = {1, 2, 0}},
    {.name = "conv 7x7 / 2",
     .kind = PL_OP_CONV,
     .rows = 1,
     .in = {12, 12, 3},
     .out_channels = 4,
     .window = {7, 2, 3}},
    {.name = "linear",
     .kind = PL_OP_LINEAR,
     .rows = 6,
     .in = {1, 1, 9},
     .out_channels = 5,
     .bias = true},
    {.name = "norm", .kind = PL_OP_BATCH_NORM, .rows = 4, .in = {3, 3, 5}},
    {.name = "norm + relu", .kind = PL_OP_BATCH_NORM, .rows = 4, .in = {3, 3, 5}, .relu = true},
    {.name = "norm + add", .kind = PL_OP_BATCH_NORM, .rows = 4, .in = {3, 3, 5}, .add = true},
    {.name = "norm + add + relu",
     .kind = PL_OP_BATCH_NORM,
     .rows = 4,
     .in = {3, 3, 5},
     .add = true,
     .relu = true},
    {.name = "relu", .kind = PL_OP_RELU, .rows = 3, .in = {4, 4, 3}},
    {.name = "add", .kind = PL_OP_ADD, .rows = 3, .in = {4, 4, 3}},
    {.name = "max pool", .kind = PL_OP_MAX_POOL, .rows = 2, .in = {7, 7, 3}, .window = {3, 2, 1}},
    {.name = "avg pool", .kind = PL_OP_AVG_POOL, .rows = 2, .in = {7, 7, 3}, .window = {3, 2, 1}},
    {.name = "global avg pool", .kind = PL_OP_AVG_POOL, .rows = 2, .in = {4, 4, 5}},
    {.name = "l2", .kind = PL_OP_L2_NORMALIZE, .rows = 4, .in = {1, 1, 11}},
    {.name = "l2, short rows",
     .kind = PL_OP_L2_NORMALIZE,
     .rows = 4,
     .in = {1, 1, 11},
     .epsilon = 100},
    {.name = "linear, each",
     .kind = PL_OP_LINEAR,
     .rows = 2,
     .in = {4, 1, 9},
     .out_channels = 5,
     .each = true,
     .bias = true},
    {.name = "linear, transposed",
     .kind = PL_OP_LINEAR,
     .rows = 6,
     .in = {1, 1, 9},
     .out_channels = 5,
     .transposed = true},
    {.name = "embedding",
     .kind = PL_OP_EMBEDDING,
     .rows = 3,
     .in = {5, 1, 1},
     .vocabulary = 6,
     .out_channels = 5},
    {.name = "positions", .kind = PL_OP_POSITIONS, .rows = 3, .in = {2, 3, 5}},
    {.name = "positions, class",
     .kind = PL_OP_POSITIONS,
     .rows = 3,
     .in = {2, 3, 5},
     .class_token = true},
    {.name = "layer norm", .kind = PL_OP_LAYER_NORM, .rows = 3, .in = {4, 1, 11}},
    {.name = "gelu", .kind = PL_OP_GELU, .rows = 3, .in = {4, 1, 11}},
    {.name = "quick gelu", .kind = PL_OP_GELU, .rows = 3, .in = {4, 1, 11}, .gelu = PL_GELU_QUICK},
    {.name = "attention", .kind = PL_OP_ATTENTION, .rows = 2, .in = {6, 1, 24}, .heads = 2},
    {.name = "attention, causal",
     .kind = PL_OP_ATTENTION,
     .rows = 2,
     .in = {6, 1, 24},
     .heads = 2,
     .causal = true},
    {.name = "select, first", .kind = PL_OP_SELECT, .rows = 3, .in = {4, 1, 5}},
    {.name = "select, end",
     .kind = PL_OP_SELECT,
     .rows = 3,
     .in = {4, 1, 5},
     .select = PL_SELECT_END},
    {.name = "dropout", .kind = PL_OP_DROPOUT, .rows = 3, .in = {4, 1, 11}, .rate = 0.3F},
};

/* The loss is Σ y · dy. */
static double loss_of(op_fixture *f) {
  op_fixture_forward(f);
  double loss = 0;
  for (size_t i = 0; i < f->out_count; i++)
    loss += (double)((const float *)f->y)[i] * (double)((const float *)f->dy)[i];
  return loss;
}

/* A hash of which side of their kinks relus and maxima are on. */
static uint64_t side_of(const op_fixture *f) {
  uint64_t side = 0;
  bool relu = f->setup.relu || f->op.kind == PL_OP_RELU;
  for (size_t i = 0; relu && i < f->out_count; i++)
    side = side * 1099511628211U + (((const float *)f->y)[i] > 0);
  for (size_t i = 0; f->op.kind == PL_OP_MAX_POOL && i < f->needs.saved_bytes; i++)
    side = side * 1099511628211U + ((const uint8_t *)f->saved)[i];
  return side;
}

static double root_mean_square(const float *values, size_t n) {
  double squares = 0;
  for (size_t i = 0; i < n; i++) squares += (double)values[i] * (double)values[i];
  return sqrt(squares / (double)n);
}

/* Compares the gradient of an array that forward reads; elements whose step reaches over a kink are
 * left out, which may concern a part of them only. */
static void check_array(op_fixture *f, const char *what, float *values, const float *gradient,
                        size_t n) {
  size_t stride = n / ELEMENTS_MOST + 1, checked = 0, looked_at = 0;
  double size = root_mean_square(gradient, n);
  assert_true(size > 0);
  for (size_t i = 0; i < n; i += stride, looked_at++) {
    float kept = values[i];
    loss_of(f);
    uint64_t here = side_of(f);
    values[i] = kept + (float)STEP;
    double up = loss_of(f);
    bool beyond = side_of(f) != here;
    values[i] = kept - (float)STEP;
    double down = loss_of(f);
    beyond |= side_of(f) != here;
    values[i] = kept;
    if (beyond) continue;
    checked++;
    double slope = (up - down) / (2 * STEP), g = gradient[i];
    if (!(fabs(slope - g) <= TOLERANCE * size)) {
      print_error("%s: %s[%zu]: gradient %.9g, difference %.9g, size %.9g\n", f->setup.name, what,
                  i, g, slope, size);
      fail();
    }
  }
  assert_true(2 * checked >= looked_at);
}

static void test_operations(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof setups / sizeof *setups; i++) {
    op_fixture f;
    op_fixture_open(&f, &setups[i], pl_cpu_backend());
    loss_of(&f);
    op_fixture_backward(&f);
    if (f.x_type != PL_I32) check_array(&f, "x", f.x, f.dx, f.in_count);
    if (f.weights) check_array(&f, "weight", op_fixture_weight(&f), f.dweight, f.weights);
    if (f.biases) check_array(&f, "bias", op_fixture_bias(&f), f.dbias, f.biases);
    if (f.setup.add || f.op.kind == PL_OP_ADD)
      check_array(&f, "skip", f.skip, f.dskip, f.out_count);
    op_fixture_close(&f);
  }
}

static pl_value conv_norm(pl_graph *g, const char *name, pl_value x, int channels,
                          pl_window window) {
  char norm[PL_NAME_MAX];
  snprintf(norm, sizeof norm, "%s.norm", name);
  return pl_batch_norm(g, norm, pl_conv2d(g, name, x, channels, window), 1e-5F, 0.1F, 1);
}

/* Stem, a block with identity, a block with projection, pool, projector, unit rows. */
static pl_value residual(pl_graph *g, pl_value x) {
  const pl_window same = {3, 1, 1}, half = {3, 2, 1};
  pl_value h = pl_max_pool(g, pl_relu(g, conv_norm(g, "stem", x, 8, same)), half);
  pl_value y = pl_relu(g, conv_norm(g, "a.1", h, 8, same));
  h = pl_relu(g, pl_add(g, conv_norm(g, "a.2", y, 8, same), h));
  y = pl_relu(g, conv_norm(g, "b.1", h, 16, half));
  y = conv_norm(g, "b.2", y, 16, same);
  h = pl_relu(g, pl_add(g, y, conv_norm(g, "b.skip", h, 16, (pl_window){1, 2, 0})));
  h = pl_relu(g, pl_linear(g, "head.0", pl_global_avg_pool(g, h), 12, true));
  return pl_l2_normalize(g, pl_linear(g, "head.2", h, 6, false), 1e-12F);
}

static rig_options network(const pl_backend *backend, pl_norm_scope scope, pl_dtype precision) {
  return (rig_options){.build = residual,
                       .shape = {12, 12, 3},
                       .rows = 6,
                       .leaves = 3,
                       .precision = precision,
                       .scope = scope,
                       .backend = backend};
}

/* ‖a - b‖ / ‖b‖ */
static double distance(const float *a, const float *b, size_t n) {
  double off = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    off += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    size += (double)b[i] * (double)b[i];
  }
  return sqrt(off / size);
}

static void compare_networks(pl_norm_scope scope, pl_dtype precision, double tolerance) {
  rig_options options = network(pl_cpu_backend(), scope, precision);
  net_rig cpu, naive;
  rig_create(&cpu, &options);
  options.backend = NULL;
  rig_create(&naive, &options);
  CHECK_OK(rig_step(&cpu));
  CHECK_OK(rig_step(&naive));
  CHECK_NEAR(distance(cpu.out, naive.out, (size_t)cpu.leaves * cpu.leaf_out), 0, tolerance);
  CHECK_NEAR(distance(pl_gradsum_total(cpu.sums), pl_gradsum_total(naive.sums),
                      (size_t)pl_space_elements(cpu.space)),
             0, tolerance);
  CHECK_NEAR(distance(cpu.buffers, naive.buffers, (size_t)pl_space_buffer_elements(cpu.space)), 0,
             tolerance);
  rig_destroy(&cpu);
  rig_destroy(&naive);
}

/* In bf16 both round every value, at places of their own: gradients that passed a dozen layers
 * agree to a few units in the last of eight bits. */
static void test_network_against_naive(void **state) {
  (void)state;
  compare_networks(PL_NORM_MICRO, PL_F32, 1e-4);
  compare_networks(PL_NORM_GLOBAL, PL_F32, 1e-4);
  if (pl_cpu_has_bf16()) compare_networks(PL_NORM_GLOBAL, PL_BF16, 5e-2);
}

/* Moves all parameters along the gradient; the loss changes by its length squared. */
static double loss_along(net_rig *rig, const float *gradient, const float *start, float by) {
  for (int p = 0; p < pl_space_params(rig->space); p++) {
    const pl_param *param = pl_space_param(rig->space, p);
    float *values = (float *)(rig->image + param->image_offset);
    for (int64_t i = 0; i < param->count; i++) {
      int64_t at = param->first_block * PL_BLOCK + i;
      values[i] = start[at] + by * gradient[at];
    }
  }
  CHECK_OK(rig_forward(rig));
  return rig_loss(rig);
}

static void test_network_against_differences(void **state) {
  (void)state;
  enum { ELEMENTS_ROOM = 64 * PL_BLOCK };
  static float gradient[ELEMENTS_ROOM], start[ELEMENTS_ROOM];
  rig_options options = network(pl_cpu_backend(), PL_NORM_GLOBAL, PL_F32);
  net_rig rig;
  rig_create(&rig, &options);
  size_t n = (size_t)pl_space_elements(rig.space);
  assert_true(n <= ELEMENTS_ROOM);
  CHECK_OK(rig_step(&rig));
  memcpy(gradient, pl_gradsum_total(rig.sums), n * sizeof *gradient);
  for (int p = 0; p < pl_space_params(rig.space); p++) {
    const pl_param *param = pl_space_param(rig.space, p);
    memcpy(start + param->first_block * PL_BLOCK, rig.image + param->image_offset,
           (size_t)param->count * sizeof *start);
  }
  double square = root_mean_square(gradient, n) * root_mean_square(gradient, n) * (double)n;
  assert_true(square > 0);
  float by = (float)(1e-3 / sqrt(square)); /* parameters move by 1e-3 in all */
  double up = loss_along(&rig, gradient, start, by), down = loss_along(&rig, gradient, start, -by);
  CHECK_NEAR((up - down) / (2 * (double)by) / square, 1, 1e-2);
  rig_destroy(&rig);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_operations),
      cmocka_unit_test(test_network_against_naive),
      cmocka_unit_test(test_network_against_differences),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
