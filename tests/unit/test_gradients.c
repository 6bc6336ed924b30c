/* Every operation of the reference backend and whole small networks, with batch norm of every
 * scope, against finite differences of the loss through the executor. */
#include "tests/check.h"
#include "tests/unit/net_rig.h"
#include "tests/unit/reference_backend.h"
#include "tests/unit/reference_kernel.h"

static const pl_window SAME = {3, 1, 1};
static const pl_window HALF = {3, 2, 1};

static pl_value norm(pl_graph *g, const char *name, pl_value x) {
  return pl_batch_norm(g, name, x, 1e-5F, 0.1F, 1);
}

/* Operations, each behind a layer with parameters whose gradients show its dx. */
static pl_value linear(pl_graph *g, pl_value x) {
  return pl_linear(g, "b", pl_linear(g, "a", x, 5, true), 3, false);
}
static pl_value conv(pl_graph *g, pl_value x) {
  return pl_conv2d(g, "b", pl_conv2d(g, "a", x, 4, SAME), 3, (pl_window){5, 2, 2});
}
static pl_value conv_1x1(pl_graph *g, pl_value x) {
  return pl_conv2d(g, "b", pl_conv2d(g, "a", x, 4, (pl_window){1, 1, 0}), 3, (pl_window){1, 2, 0});
}
static pl_value relu(pl_graph *g, pl_value x) { return pl_relu(g, pl_linear(g, "a", x, 5, true)); }
static pl_value add(pl_graph *g, pl_value x) {
  return pl_add(g, pl_conv2d(g, "a", x, 3, HALF), pl_conv2d(g, "b", x, 3, HALF));
}
static pl_value add_input(pl_graph *g, pl_value x) {
  return pl_add(g, x, pl_add(g, pl_conv2d(g, "a", x, 3, SAME), x));
}
static pl_value add_twice(pl_graph *g, pl_value x) {
  pl_value a = pl_conv2d(g, "a", x, 3, HALF);
  return pl_add(g, pl_add(g, a, a), a);
}
static pl_value max_pool(pl_graph *g, pl_value x) {
  return pl_max_pool(g, pl_conv2d(g, "a", x, 3, SAME), HALF);
}
static pl_value avg_pool(pl_graph *g, pl_value x) {
  return pl_avg_pool(g, pl_conv2d(g, "a", x, 3, SAME), HALF);
}
static pl_value global_avg_pool(pl_graph *g, pl_value x) {
  return pl_global_avg_pool(g, pl_conv2d(g, "a", x, 3, SAME));
}
static pl_value l2_normalize(pl_graph *g, pl_value x) {
  return pl_l2_normalize(g, pl_linear(g, "a", x, 4, true), 1e-12F);
}
/* Rows shorter than epsilon are only scaled. */
static pl_value l2_short_rows(pl_graph *g, pl_value x) {
  return pl_l2_normalize(g, pl_linear(g, "a", x, 4, true), 100);
}
static pl_value batch_norm(pl_graph *g, pl_value x) {
  return norm(g, "n", pl_conv2d(g, "a", x, 3, HALF));
}
static pl_value norm_relu(pl_graph *g, pl_value x) { return pl_relu(g, batch_norm(g, x)); }
static pl_value norm_add_relu(pl_graph *g, pl_value x) {
  pl_value skip = pl_conv2d(g, "s", x, 3, HALF);
  return pl_relu(g, pl_add(g, batch_norm(g, x), skip));
}
static pl_value norm_first(pl_graph *g, pl_value x) {
  return pl_linear(g, "l", pl_relu(g, norm(g, "n", x)), 2, true);
}

/* Sums of values with other readers before and behind, and of sums. */
static pl_value sums(pl_graph *g, pl_value x) {
  pl_value a = pl_linear(g, "a", x, 4, true), b = pl_linear(g, "b", a, 4, true);
  pl_value left = pl_add(g, a, b), right = pl_add(g, b, a), twice = pl_add(g, left, right);
  pl_value c = pl_linear(g, "c", pl_relu(g, twice), 4, true), d = pl_linear(g, "d", c, 4, true);
  pl_value both = pl_add(g, c, twice), all = pl_add(g, d, both), again = pl_add(g, a, all);
  return pl_add(g, again, pl_linear(g, "e", all, 4, true));
}

/* A residual network in small: stem, a block with identity and one with a strided projection,
 * pool, projector and unit rows. */
static pl_value residual(pl_graph *g, pl_value x) {
  pl_value h = pl_relu(g, norm(g, "bn1", pl_conv2d(g, "conv1", x, 4, SAME)));
  h = pl_max_pool(g, h, HALF);
  pl_value y = pl_relu(g, norm(g, "a.bn1", pl_conv2d(g, "a.conv1", h, 4, SAME)));
  y = norm(g, "a.bn2", pl_conv2d(g, "a.conv2", y, 4, SAME));
  h = pl_relu(g, pl_add(g, y, h));
  y = pl_relu(g, norm(g, "b.bn1", pl_conv2d(g, "b.conv1", h, 6, HALF)));
  y = norm(g, "b.bn2", pl_conv2d(g, "b.conv2", y, 6, SAME));
  pl_value down = norm(g, "b.down.bn", pl_conv2d(g, "b.down", h, 6, (pl_window){1, 2, 0}));
  h = pl_global_avg_pool(g, pl_relu(g, pl_add(g, y, down)));
  h = pl_relu(g, norm(g, "proj.bn", pl_linear(g, "proj.0", h, 5, false)));
  return pl_l2_normalize(g, pl_linear(g, "proj.1", h, 4, true), 1e-12F);
}

static pl_value layer_norm(pl_graph *g, pl_value x) {
  return pl_layer_norm(g, "n", pl_conv2d(g, "a", x, 5, HALF), 1e-5F);
}
static pl_value layer_norm_first(pl_graph *g, pl_value x) {
  return pl_linear(g, "l", pl_layer_norm(g, "n", x, 1e-5F), 2, true);
}
static pl_value gelu(pl_graph *g, pl_value x) {
  return pl_gelu_of(g, pl_linear(g, "a", x, 5, true), PL_GELU_EXACT);
}
static pl_value quick_gelu(pl_graph *g, pl_value x) {
  return pl_gelu_of(g, pl_linear(g, "a", x, 5, true), PL_GELU_QUICK);
}
static pl_value each(pl_graph *g, pl_value x) {
  pl_value a = pl_linear_each(g, "a.weight", "a.bias", x, 4, 0.3F);
  return pl_linear_each(g, "b.weight", NULL, a, 3, 0.3F);
}
static pl_value project(pl_graph *g, pl_value x) {
  return pl_project(g, "b", pl_project(g, "a", x, 5, true, 0.3F), 4, false, 0.3F);
}
static pl_value positions(pl_graph *g, pl_value x) {
  return pl_positions(g, "p", "class", pl_conv2d(g, "a", x, 4, HALF), 0.3F);
}
static pl_value first_position(pl_graph *g, pl_value x) {
  return pl_select_position(g, positions(g, x), -1, PL_SELECT_FIRST);
}
static pl_value dropout(pl_graph *g, pl_value x) {
  return pl_dropout(g, pl_linear(g, "a", x, 9, true), 0.4F);
}
static pl_value attend(pl_graph *g, pl_value x, bool causal) {
  pl_value sequence = pl_positions(g, "p", NULL, pl_conv2d(g, "a", x, 4, HALF), 0.3F);
  pl_value qkv = pl_linear_each(g, "qkv.weight", "qkv.bias", sequence, 12, 0.3F);
  return pl_attention(g, "attn", qkv, 2, causal);
}
static pl_value attention(pl_graph *g, pl_value x) { return attend(g, x, false); }
static pl_value causal_attention(pl_graph *g, pl_value x) { return attend(g, x, true); }

/* A block of a transformer, with dropouts. */
static pl_value block(pl_graph *g, pl_value x, bool causal) {
  pl_value qkv =
      pl_linear_each(g, "in.weight", "in.bias", pl_layer_norm(g, "ln_1", x, 1e-5F), 24, 0.2F);
  pl_value y = pl_attention(g, "attn", qkv, 2, causal);
  y = pl_linear_each(g, "out.weight", "out.bias", y, 8, 0.2F);
  x = pl_add(g, x, pl_dropout(g, y, 0.2F));
  y = pl_linear_each(g, "fc.weight", "fc.bias", pl_layer_norm(g, "ln_2", x, 1e-5F), 16, 0.2F);
  y = pl_linear_each(g, "proj.weight", "proj.bias", pl_gelu_of(g, y, PL_GELU_EXACT), 8, 0.2F);
  return pl_add(g, x, pl_dropout(g, y, 0.2F));
}

static pl_value vision_transformer(pl_graph *g, pl_value x) {
  x = pl_conv2d(g, "conv1", x, 8, (pl_window){2, 2, 0});
  x = pl_layer_norm(g, "ln_pre", pl_positions(g, "p", "class", x, 0.3F), 1e-5F);
  x = pl_select_position(g, block(g, x, false), -1, PL_SELECT_FIRST);
  x = pl_project(g, "head", pl_layer_norm(g, "ln_post", x, 1e-5F), 5, true, 0.3F);
  return pl_l2_normalize(g, x, 1e-12F);
}

static pl_value text_transformer(pl_graph *g, pl_value tokens) {
  pl_value x = pl_embedding(g, "tokens", tokens, 7, 8);
  x = block(g, pl_positions(g, "p", NULL, x, 0.3F), true);
  x = pl_select_position(g, pl_layer_norm(g, "ln_final", x, 1e-5F), tokens, PL_SELECT_END);
  return pl_l2_normalize(g, pl_project(g, "head", x, 5, true, 0.3F), 1e-12F);
}

/* The loss has kinks: the zero of a ReLU, equal inputs of a maximum. On which side of them a
 * forward pass ran is hashed here, by a backend that wraps the reference. */
static uint64_t side;

static void note_side(const pl_kernel *kernel, const pl_kernel_args *args) {
  const pl_kernel_spec *spec = &kernel->spec;
  size_t n = (size_t)spec->rows * pl_out_elements(kernel);
  if (spec->op->kind == PL_OP_RELU || spec->op->fused_relu) {
    for (size_t i = 0; i < n; i++) {
      side = side * 1099511628211U + (pl_get(spec->out_type, args->y, i) > 0);
    }
  }
  if (spec->op->kind == PL_OP_MAX_POOL) {
    for (size_t i = 0; i < n; i++) {
      side = side * 1099511628211U + ((const uint64_t *)args->saved)[i];
    }
  }
}

static pl_status watched_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  PL_TRY(pl_reference_backend()->forward(kernel, args));
  note_side(kernel, args);
  return PL_OK;
}

static pl_status watched_apply(pl_kernel *kernel, const pl_kernel_args *args, const double *totals,
                               double count) {
  PL_TRY(pl_reference_backend()->forward_apply(kernel, args, totals, count));
  note_side(kernel, args);
  return PL_OK;
}

/* The loss with one parameter element moved by `step`. */
static double moved_loss(net_rig *rig, float *element, float step) {
  float kept = *element;
  *element = kept + step;
  side = 0;
  CHECK_OK(rig_forward(rig));
  *element = kept;
  return rig_loss(rig);
}

/* How far a central difference (fourth order) is from `gradient`; infinite for a NaN, and where the
 * step reaches over a kink. */
static double deviation(net_rig *rig, float *element, float h, double gradient) {
  moved_loss(rig, element, 0);
  uint64_t here = side;
  const float moves[4] = {h, -h, 2 * h, -2 * h};
  double loss[4];
  for (int i = 0; i < 4; i++) {
    loss[i] = moved_loss(rig, element, moves[i]);
    if (side != here) return INFINITY;
  }
  double slope = (8 * (loss[0] - loss[1]) - (loss[2] - loss[3])) / (12 * (double)h);
  double off = fabs(slope - gradient);
  return off >= 0 ? off : INFINITY;
}

/* The root mean square of a parameter's gradient: what deviations are compared with. */
static double gradient_size(const float *gradient, int64_t n) {
  double squares = 0;
  for (int64_t i = 0; i < n; i++) squares += (double)gradient[i] * (double)gradient[i];
  return sqrt(squares / (double)n);
}

/* Whether one of several steps gives this gradient: long ones reach over kinks and miss curvature,
 * short ones suffer from values being rounded to f32. *beyond: all reach over kinks. */
static bool is_gradient(net_rig *rig, float *element, double gradient, double tolerance,
                        bool *beyond, double *best) {
  *best = INFINITY;
  for (int power = 5; power <= 11; power++) {
    double off = deviation(rig, element, ldexpf(1, -power), gradient);
    if (off < *best) *best = off;
    if (off <= tolerance) return true;
  }
  *beyond = isinf(*best) && isfinite(gradient);
  return false;
}

/* Compares up to 17 elements of each parameter, spread evenly, within `relative` of the
 * gradient's size, or 1e-4 where gradients vanish (a bias before a norm). One in five may lie too
 * close to a kink to be compared. */
static void check_gradients(const char *name, net_rig *rig, double relative) {
  int compared = 0;
  int close = 0;
  CHECK_OK(rig_step(rig));
  const float *totals = pl_gradsum_total(rig->sums);
  for (int p = 0; p < pl_space_params(rig->space); p++) {
    const pl_param *param = pl_space_param(rig->space, p);
    const float *gradient = totals + param->first_block * PL_BLOCK;
    float *values = (float *)(void *)(rig->image + param->image_offset);
    double tolerance = 1e-4 + relative * gradient_size(gradient, param->count);
    for (int64_t i = 0; i < param->count; i += param->count / 17 + 1, compared++) {
      bool beyond = false;
      double off;
      if (is_gradient(rig, &values[i], (double)gradient[i], tolerance, &beyond, &off)) continue;
      close += beyond;
      if (beyond) continue;
      print_error("%s, scope %d: gradient of %s[%d] is %g, off by %g; tolerance %g\n", name,
                  rig->options.scope, param->name, (int)i, (double)gradient[i], off, tolerance);
      fail();
    }
  }
  if (close * 5 > compared) {
    print_error("%s: %d of %d elements lie too close to kinks\n", name, close, compared);
    fail();
  }
}

typedef struct net_case {
  const char *name;
  net_builder build;
} net_case;

static void check_network(const char *name, rig_options options, double relative) {
  pl_backend watched = *pl_reference_backend();
  watched.forward = watched_forward;
  watched.forward_apply = watched_apply;
  options.backend = &watched;
  net_rig rig;
  rig_create(&rig, &options);
  check_gradients(name, &rig, relative);
  rig_destroy(&rig);
}

static void check_case(net_case c, pl_norm_scope scope, int rows, int64_t leaves, double relative) {
  check_network(
      c.name,
      (rig_options){
          .build = c.build, .shape = {6, 6, 3}, .rows = rows, .leaves = leaves, .scope = scope},
      relative);
}

static void operations_match_finite_differences(void **state) {
  (void)state;
  const net_case cases[] = {
      {"linear", linear},
      {"conv", conv},
      {"conv 1x1", conv_1x1},
      {"relu", relu},
      {"add", add},
      {"add input", add_input},
      {"add twice", add_twice},
      {"sums", sums},
      {"max pool", max_pool},
      {"avg pool", avg_pool},
      {"global avg pool", global_avg_pool},
      {"l2 normalize", l2_normalize},
      {"l2 normalize, short rows", l2_short_rows},
      {"batch norm", batch_norm},
      {"norm, relu", norm_relu},
      {"norm, add, relu", norm_add_relu},
      {"norm of the input", norm_first},
      {"layer norm", layer_norm},
      {"layer norm of the input", layer_norm_first},
      {"gelu", gelu},
      {"quick gelu", quick_gelu},
      {"each position", each},
      {"project", project},
      {"positions", positions},
      {"first position", first_position},
      {"dropout", dropout},
      {"attention", attention},
      {"causal attention", causal_attention},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    check_case(cases[i], PL_NORM_MICRO, 2, 2, 2e-3);
  }
}

static void norms_of_every_scope_match_finite_differences(void **state) {
  (void)state;
  const net_case cases[] = {{"norm, add, relu", norm_add_relu}, {"norm of the input", norm_first}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    check_case(cases[i], PL_NORM_RANK, 2, 3, 2e-3);
    check_case(cases[i], PL_NORM_GLOBAL, 1, 3, 2e-3);
  }
}

static void networks_match_finite_differences(void **state) {
  (void)state;
  /* Each layer's values are rounded to f32, so differences of the loss are coarser than above. */
  check_case((net_case){"residual", residual}, PL_NORM_MICRO, 4, 2, 1e-2);
  check_case((net_case){"residual", residual}, PL_NORM_GLOBAL, 2, 3, 1e-2);
  check_case((net_case){"vision transformer", vision_transformer}, PL_NORM_MICRO, 2, 2, 1e-2);
  check_network(
      "text transformer",
      (rig_options){
          .build = text_transformer, .shape = {6, 1, 1}, .vocabulary = 7, .rows = 3, .leaves = 2},
      1e-2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(operations_match_finite_differences),
      cmocka_unit_test(norms_of_every_scope_match_finite_differences),
      cmocka_unit_test(networks_match_finite_differences),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
