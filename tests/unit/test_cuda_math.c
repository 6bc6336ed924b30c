/* What is special to products, attention and GELU on the CUDA backend. Built twice, as
 * test_cuda_ops.c. */
#include "runtime/cuda/cuda.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/op_fixture.h"
#include "tests/unit/op_properties.h"
#include "tests/unit/reference_backend.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void gelu_holds_everywhere(void **state) {
  (void)state;
  op_check_gelu(pl_cuda_backend());
}

static void causal_attention_sees_no_future(void **state) {
  (void)state;
  op_check_causal(pl_cuda_backend());
}

static void a_nan_stays(void **state) {
  (void)state;
  const op_setup setups[] = {
      {.name = "gelu", .kind = PL_OP_GELU, .rows = 1, .in = {2, 1, 3}},
      {.name = "attention", .kind = PL_OP_ATTENTION, .rows = 1, .in = {2, 1, 3}, .heads = 1},
      {.name = "linear", .kind = PL_OP_LINEAR, .rows = 1, .in = {1, 1, 3}, .out_channels = 2}};
  for (size_t i = 0; i < COUNT(setups); i++) {
    op_fixture f;
    op_fixture_open(&f, &setups[i], pl_cuda_backend());
    ((float *)f.x)[0] = NAN;
    op_fixture_forward(&f);
    if (!isnan(((float *)f.y)[0])) fail_msg("%s loses a NaN", setups[i].name);
    op_fixture_close(&f);
  }
}

/* What inference gives is what training gives, though nothing is saved or kept for backward. */
static void inference_gives_the_same(void **state) {
  (void)state;
  op_setup setups[] = {{.name = "attention",
                        .kind = PL_OP_ATTENTION,
                        .rows = 3,
                        .in = {7, 1, 3 * 2 * 5},
                        .heads = 2,
                        .causal = true},
                       {.name = "linear",
                        .kind = PL_OP_LINEAR,
                        .rows = 5,
                        .in = {1, 1, 12},
                        .out_channels = 7,
                        .bias = true},
                       {.name = "convolution",
                        .kind = PL_OP_CONV,
                        .rows = 2,
                        .in = {5, 7, 3},
                        .out_channels = 4,
                        .window = {3, 2, 1}}};
  for (size_t i = 0; i < COUNT(setups); i++) {
    op_fixture trained, applied;
    op_fixture_open(&trained, &setups[i], pl_cuda_backend());
    setups[i].inference = true;
    op_fixture_open(&applied, &setups[i], pl_cuda_backend());
    op_fixture_forward(&trained);
    op_fixture_forward(&applied);
    assert_int_equal(applied.needs.saved_bytes, 0);
    assert_memory_equal(applied.y, trained.y, trained.out_count * sizeof(float));
    op_fixture_close(&trained);
    op_fixture_close(&applied);
  }
}

/* |a - b|, as lengths of vectors, in parts of b's. */
static double distance(const float *a, const float *b, size_t n) {
  double difference = 0, length = 0;
  for (size_t i = 0; i < n; i++) {
    difference += pow((double)a[i] - (double)b[i], 2);
    length += (double)b[i] * (double)b[i];
  }
  return sqrt(difference / length);
}

/* Both factors of a product may have lost their last 13 bits, each up to 1/1024 of itself; on
 * average half of that, which a sum of either sign does not add up. Attention feeds one product
 * with another. Without leave, the tests of operations hold these to 1e-5. */
static void tf32_is_as_near_as_its_bits(void **state) {
  (void)state;
  const op_setup setups[] = {{.name = "linear",
                              .kind = PL_OP_LINEAR,
                              .rows = 5,
                              .in = {1, 1, 67},
                              .out_channels = 33,
                              .bias = true},
                             {.name = "attention",
                              .kind = PL_OP_ATTENTION,
                              .rows = 2,
                              .in = {19, 1, 3 * 2 * 12},
                              .heads = 2,
                              .causal = true},
                             {.name = "convolution",
                              .kind = PL_OP_CONV,
                              .rows = 3,
                              .in = {7, 5, 9},
                              .out_channels = 6,
                              .window = {3, 2, 1}},
                             {.name = "patches",
                              .kind = PL_OP_CONV,
                              .rows = 2,
                              .in = {8, 8, 3},
                              .out_channels = 10,
                              .window = {4, 4, 0}}};
  for (size_t i = 0; i < COUNT(setups); i++) {
    op_fixture own, naive;
    pl_cuda_use_tf32(true);
    op_fixture_open(&own, &setups[i], pl_cuda_backend());
    pl_cuda_use_tf32(false);
    op_fixture_open(&naive, &setups[i], pl_reference_backend());
    op_fixture *both[] = {&own, &naive};
    for (int k = 0; k < 2; k++) {
      op_fixture_forward(both[k]);
      op_fixture_backward(both[k]);
    }
    double y = distance(own.y, naive.y, own.out_count);
    double dx = distance(own.dx, naive.dx, own.in_count);
    double dw = own.weights ? distance(own.dweight, naive.dweight, own.weights) : 0;
    if (!(y <= 2e-3 && dx <= 2e-3 && dw <= 2e-3))
      fail_msg("%s: y is off by %.3g, dx by %.3g, dweight by %.3g", setups[i].name, y, dx, dw);
    op_fixture_close(&own);
    op_fixture_close(&naive);
  }
}

static void what_is_not_done_is_refused(void **state) {
  (void)state;
  const pl_op_kind kinds[] = {PL_OP_CONV, PL_OP_LINEAR, PL_OP_GELU, PL_OP_ATTENTION};
  pl_op op = {.name = "op", .in_shape = {3, 1, 6}, .out_shape = {3, 1, 2}, .heads = 1};
  for (size_t i = 0; i < COUNT(kinds); i++) {
    op.kind = kinds[i];
    pl_kernel_spec spec = {.op = &op, .rows = 2, .in_type = PL_F32, .out_type = PL_BF16};
    assert_non_null(pl_cuda_backend()->supports(&spec));
    spec.out_type = PL_F32;
    assert_null(pl_cuda_backend()->supports(&spec));
    spec.in_type = PL_U8;
    assert_non_null(pl_cuda_backend()->supports(&spec));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gelu_holds_everywhere),
      cmocka_unit_test(causal_attention_sees_no_future),
      cmocka_unit_test(a_nan_stays),
      cmocka_unit_test(inference_gives_the_same),
      cmocka_unit_test(tf32_is_as_near_as_its_bits),
      cmocka_unit_test(what_is_not_done_is_refused),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
