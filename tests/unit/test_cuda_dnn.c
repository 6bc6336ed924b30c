/* cuDNN's descriptors and plans (runtime/cuda/dnn.h, dnn_plan.h, dnn_convolution.h) for an H100
 * that is described to it: nothing is computed, and no GPU is needed. Built twice: with the cuDNN
 * of this build, skipped where that takes no descriptions, and with the emulated one, which has to
 * answer alike. */
#include <string.h>

#include "models/resnet.h"
#include "models/vit.h"
#include "runtime/base/account.h"
#include "runtime/cuda/dnn_convolution.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"

static pl_dnn_device h100;

/* Of a ResNet's second stage. */
static const pl_convolution_spec usual = {.rows = 64,
                                          .in = {56, 56, 64},
                                          .out = {56, 56, 64},
                                          .window = {.kernel = 3, .stride = 1, .pad = 1},
                                          .type = PL_BF16,
                                          .backward_data = true,
                                          .backward_weights = true};

/* ---- the convolutions of networks ---- */

enum { VIT = 0 };

static const struct network {
  const char *name;
  int depth; /* of a ResNet, or VIT */
  pl_stem stem;
  int side, rows;
} networks[] = {{"ResNet-18, small images", 18, PL_STEM_CIFAR, 32, 512},
                {"ResNet-18", 18, PL_STEM_IMAGENET, 224, 64},
                {"ResNet-50", 50, PL_STEM_IMAGENET, 224, 256},
                {"ViT-B/16", VIT, PL_STEM_IMAGENET, 224, 64}};

static pl_graph *build(const struct network *n, pl_space **space) {
  const pl_resnet_options resnet = {.depth = n->depth, .stem = n->stem, .width = 64};
  const pl_vit_options vit = {
      .patch = 16, .width = 768, .blocks = {.layers = 1, .heads = 12, .mlp_ratio = 4}};
  pl_graph *graph;
  CHECK_OK(pl_space_create(space));
  CHECK_OK(pl_graph_create(*space, "", &graph));
  pl_value images = pl_input(graph, (pl_shape){n->side, n->side, 3});
  if (n->depth == VIT)
    pl_vit(graph, "", &vit, images);
  else
    pl_resnet(graph, "", &resnet, images);
  CHECK_OK(pl_graph_finish(graph));
  return graph;
}

/* Those that runtime/cuda/conv.c leaves to cuDNN: windows that stand side by side are products. */
static bool is_of_cudnn(const pl_op *op) {
  return op->kind == PL_OP_CONV && !(op->window.kernel == op->window.stride && op->window.pad == 0);
}

static bool alike(const pl_op *a, const pl_op *b) {
  return is_of_cudnn(a) && memcmp(&a->in_shape, &b->in_shape, sizeof a->in_shape) == 0 &&
         memcmp(&a->out_shape, &b->out_shape, sizeof a->out_shape) == 0 &&
         memcmp(&a->window, &b->window, sizeof a->window) == 0;
}

static bool was_before(const pl_graph *graph, int index) {
  for (int i = 0; i < index; i++)
    if (alike(pl_graph_op(graph, i), pl_graph_op(graph, index))) return true;
  return false;
}

/* ---- plans ---- */

#define NOTE(name) (1u << CUDNN_NUMERICAL_NOTE_##name)

static void plan(const pl_convolution_spec *spec, pl_dnn_plan plans[PL_DIRECTIONS]) {
  pl_dnn_descriptors descriptors = {.count = 0};
  pl_direction missing;
  memset(plans, 0, PL_DIRECTIONS * sizeof *plans);
  CHECK_OK(pl_dnn_convolution_plan(&h100, spec, &descriptors, plans, &missing));
  if (missing != PL_DIRECTIONS) fail_msg("no engine for %s", pl_direction_name(missing));
  pl_dnn_destroy_all(&descriptors);
}

/* What is promised of every engine; that the fast ones are used wherever channels allow it, and
 * that those need little workspace for bf16. */
static void check_plan(const char *name, const pl_convolution_spec *s, pl_direction direction,
                       const pl_dnn_plan *p) {
  const unsigned wrong = NOTE(NONDETERMINISTIC) | NOTE(REDUCED_PRECISION_REDUCTION) |
                         NOTE(DOWN_CONVERT_INPUTS) | NOTE(WINOGRAD) | NOTE(FFT);
  bool may_round = s->type == PL_BF16 || s->tf32, rounds = (p->notes & NOTE(TENSOR_CORE)) != 0;
  bool few_channels = s->in.channels < 8;
  size_t most = pl_dnn_convolution_rule(s).most_workspace;
  if (s->type == PL_BF16 && !few_channels) most = 16 << 20;
  if ((p->notes & wrong) == 0 &&
      (p->behavior & 1u << CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) == 0 &&
      (rounds ? may_round : !may_round || (s->tf32 && few_channels)) && p->workspace_bytes <= most)
    return;
  fail_msg("%s, %s%s, %s: engine %lld, notes %#x, behaviour %#x, %zu bytes of %zu", name,
           pl_dtype_name(s->type), s->tf32 ? " by TF32" : "", pl_direction_name(direction),
           (long long)p->engine, p->notes, p->behavior, p->workspace_bytes, most);
}

static void check_convolution(const struct network *n, const pl_op *op) {
  static const struct {
    pl_dtype type;
    bool tf32;
  } kinds[] = {{PL_BF16, false}, {PL_F32, false}, {PL_F32, true}};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char name[2 * PL_NAME_MAX];
    pl_dnn_plan plans[PL_DIRECTIONS];
    const pl_convolution_spec spec = {.rows = n->rows,
                                      .in = op->in_shape,
                                      .out = op->out_shape,
                                      .window = op->window,
                                      .type = kinds[i].type,
                                      .tf32 = kinds[i].tf32,
                                      .backward_data = op->in_shape.channels > 3,
                                      .backward_weights = true};
    snprintf(name, sizeof name, "%s: %s", n->name, op->name);
    plan(&spec, plans);
    for (int d = 0; d < PL_DIRECTIONS; d++)
      if (pl_direction_is_wanted(&spec, (pl_direction)d))
        check_plan(name, &spec, (pl_direction)d, &plans[d]);
  }
}

static void networks_have_plans(void **state) {
  (void)state;
  int count = 0;
  for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
    pl_space *space;
    pl_graph *graph = build(&networks[i], &space);
    for (int o = 0; o < pl_graph_ops(graph); o++) {
      if (!is_of_cudnn(pl_graph_op(graph, o)) || was_before(graph, o)) continue;
      check_convolution(&networks[i], pl_graph_op(graph, o));
      count++;
    }
    pl_graph_destroy(&graph);
    pl_space_destroy(&space);
  }
  assert_int_equal(count, 11 + 11 + 11); /* the patches of a ViT stand side by side */
}

static void the_same_plan_each_time(void **state) {
  (void)state;
  pl_dnn_plan first[PL_DIRECTIONS], again[PL_DIRECTIONS];
  plan(&usual, first);
  plan(&usual, again);
  for (int d = 0; d < PL_DIRECTIONS; d++) {
    assert_int_equal(first[d].engine, again[d].engine);
    assert_int_equal(first[d].workspace_bytes, again[d].workspace_bytes);
  }
}

/* Without a device, as whoever plans memory makes them. */
static void alike_are_one(void **state) {
  (void)state;
  pl_convolution *a, *b, *other;
  pl_convolution_spec spec = usual;
  pl_dnn_plan plans[PL_DIRECTIONS];
  size_t most = 0;
  plan(&usual, plans);
  for (int d = 0; d < PL_DIRECTIONS; d++)
    if (plans[d].workspace_bytes > most) most = plans[d].workspace_bytes;
  spec.backward_data = spec.backward_weights = false;
  CHECK_OK(pl_convolution_create(&usual, &a));
  CHECK_OK(pl_convolution_create(&spec, &other));
  CHECK_OK(pl_convolution_create(&usual, &b));
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, other);
  pl_convolution_destroy(&a);
  assert_null(a);
  assert_in_range(pl_convolution_scratch_bytes(b), most, most + 256);
  pl_convolution_destroy(&b);
  pl_convolution_destroy(&other);
  pl_convolution_destroy(&other);
}

/* ---- mistakes ---- */

static void mistakes_are_named(void **state) {
  (void)state;
  pl_dnn_device device = {0};
  pl_dnn_descriptors descriptors = {.count = 0};
  pl_dnn_plan plans[PL_DIRECTIONS] = {{0}};
  pl_direction missing;
  pl_convolution_spec spec = usual;
  CHECK_FAILS(PL_E_INTERNAL, "describing a device: cuDNN says: CUDNN_STATUS_BAD_PARAM: ",
              pl_dnn_describe_device("{}", &device));
  pl_dnn_close(&device);
  spec.out.height--;
  CHECK_FAILS(PL_E_INTERNAL, "describing a convolution: cuDNN says: CUDNN_STATUS_BAD_PARAM: ",
              pl_dnn_convolution_plan(&h100, &spec, &descriptors, plans, &missing));
  pl_dnn_destroy_all(&descriptors);
}

static const int64_t four[4] = {1, 2, 2, 1}, strides[4] = {4, 1, 2, 2}, one = 1, three = 3;
static const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;

#define ID \
  { CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &one }
#define TYPE \
  { CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &f32 }
#define DIMENSIONS \
  { CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, four }
#define STRIDES \
  { CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides }

/* Tensors that the library refuses. */
static const struct {
  const char *what;
  cudnnStatus_t status;
  pl_dnn_attribute attributes[5];
} mistakes[] = {
    {"no strides", CUDNN_STATUS_BAD_PARAM, {ID, TYPE, DIMENSIONS}},
    {"no dimensions", CUDNN_STATUS_BAD_PARAM, {ID, TYPE, STRIDES}},
    {"a type that is not the attribute's",
     CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE,
     {{CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_FLOAT, 1, &one}}},
    {"two ids", CUDNN_STATUS_BAD_PARAM, {{CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 2, four}}},
    {"no values",
     CUDNN_STATUS_BAD_PARAM,
     {{CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, NULL}}},
    {"the attribute of another",
     CUDNN_STATUS_BAD_PARAM,
     {{CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, four}}},
    {"less aligned than an element",
     CUDNN_STATUS_BAD_PARAM,
     {ID,
      TYPE,
      DIMENSIONS,
      STRIDES,
      {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &three}}},
};

static void descriptors_are_checked(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
    cudnnBackendDescriptor_t made;
    size_t count = 0;
    while (count < 5 && mistakes[i].attributes[count].count > 0) count++;
    cudnnStatus_t status =
        pl_dnn_make(CUDNN_BACKEND_TENSOR_DESCRIPTOR, mistakes[i].attributes, count, &made);
    if (status != mistakes[i].status)
      fail_msg("%s: %d, not %d", mistakes[i].what, (int)status, (int)mistakes[i].status);
    assert_null(made);
  }
}

/* What is finalized stays as it is, and nothing can be asked before. */
static void finalizing_comes_last(void **state) {
  (void)state;
  cudnnBackendDescriptor_t d;
  const int64_t alignment = 4;
  const pl_dnn_attribute a[] = {
      ID,
      TYPE,
      DIMENSIONS,
      STRIDES,
      {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment}};
  int64_t count, id;
  assert_int_equal(cudnnBackendCreateDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &d), 0);
  for (int i = 0; i < 5; i++)
    assert_int_equal(cudnnBackendSetAttribute(d, a[i].name, a[i].type, a[i].count, a[i].values), 0);
  assert_int_equal(
      cudnnBackendGetAttribute(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &count, &id),
      CUDNN_STATUS_NOT_INITIALIZED);
  assert_int_equal(cudnnBackendFinalize(d), 0);
  assert_int_equal(cudnnBackendFinalize(d), CUDNN_STATUS_BAD_PARAM);
  assert_int_equal(cudnnBackendSetAttribute(d, a[0].name, a[0].type, 1, &one),
                   CUDNN_STATUS_BAD_PARAM);
  cudnnBackendDestroyDescriptor(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(networks_have_plans),     cmocka_unit_test(the_same_plan_each_time),
      cmocka_unit_test(alike_are_one),           cmocka_unit_test(mistakes_are_named),
      cmocka_unit_test(descriptors_are_checked), cmocka_unit_test(finalizing_comes_last),
  };
  if (pl_dnn_describe_device(pl_dnn_h100, &h100) != PL_OK) {
    printf("skipped: %s\n", pl_last_reason()->message);
    return CUDA_TEST_SKIPPED;
  }
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_dnn_close(&h100);
  return failures;
}
