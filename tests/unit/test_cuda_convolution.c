/* Which of the emulated cuDNN's engines (tests/emulation/dnn_engines.cc) convolutions take, and
 * what becomes of plans on a device. What they compute: test_cuda_ops.c. */
#include <stdlib.h>

#include "runtime/base/account.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/dnn_convolution.h"
#include "runtime/cuda/kernel.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"

enum { ROWS = 2, SIDE = 4, CHANNELS = 8, X = ROWS * SIDE * SIDE * CHANNELS };

static const pl_convolution_spec usual = {.rows = ROWS,
                                          .in = {SIDE, SIDE, CHANNELS},
                                          .out = {SIDE, SIDE, CHANNELS},
                                          .window = {.kernel = 3, .stride = 1, .pad = 1},
                                          .type = PL_F32,
                                          .backward_data = true,
                                          .backward_weights = true};

static void check_engines(pl_dtype type, bool tf32, const int64_t engines[PL_DIRECTIONS]) {
  pl_dnn_device device = {0};
  pl_dnn_descriptors descriptors = {.count = 0};
  pl_dnn_plan plans[PL_DIRECTIONS] = {{0}};
  pl_direction missing;
  pl_convolution_spec spec = usual;
  spec.type = type;
  spec.tf32 = tf32;
  CHECK_OK(pl_dnn_open(&device));
  CHECK_OK(pl_dnn_convolution_plan(&device, &spec, &descriptors, plans, &missing));
  assert_int_equal(missing, PL_DIRECTIONS);
  for (int d = 0; d < PL_DIRECTIONS; d++) assert_int_equal(plans[d].engine, engines[d]);
  pl_dnn_destroy_all(&descriptors);
  pl_dnn_close(&device);
}

/* Nine that may not run, for what they are or for their workspace, are named in front of 10, which
 * uses tensor cores. 11 does not, and knows no gradient of the input; for that is 0, which is named
 * only where all else fails. */
static void the_first_that_may_run(void **state) {
  (void)state;
  check_engines(PL_F32, false, (const int64_t[]){11, 0, 11});
  check_engines(PL_F32, true, (const int64_t[]){10, 10, 10});
  check_engines(PL_BF16, false, (const int64_t[]){10, 10, 10});
}

static void none_is_no_error(void **state) {
  (void)state;
  pl_convolution *c;
  pl_convolution_spec spec = usual;
  assert_int_equal(setenv("PLENUM_EMULATED_REFUSES", "convolution", 1), 0);
  CHECK_OK(pl_convolution_create(&spec, &c));
  assert_null(c);
  assert_int_equal(unsetenv("PLENUM_EMULATED_REFUSES"), 0);
  CHECK_OK(pl_convolution_create(&spec, &c));
  assert_non_null(c);
  pl_convolution_destroy(&c);
}

static void what_is_wrong_is_said(void **state) {
  (void)state;
  pl_convolution *c;
  pl_convolution_spec spec = usual;
  spec.out.width++;
  CHECK_FAILS(PL_E_INTERNAL, "shapes that do not fit", pl_convolution_create(&spec, &c));

  float *x = cuda_test_place(NULL, X * sizeof *x);
  CHECK_OK(pl_convolution_create(&usual, &c));
  CHECK_FAILS(PL_E_INTERNAL,
              "the forward pass of a convolution: running an operation: cuDNN says: "
              "CUDNN_STATUS_BAD_PARAM: an array is missing or astray",
              pl_convolution_forward(c, x + 1, x, x, x));
  pl_convolution_destroy(&c);
  pl_cuda_device.release(x);
}

/* Not with one that was planned before there was a device. */
static void a_described_device_runs_nothing(void **state) {
  (void)state;
  pl_convolution *described, *open;
  pl_cuda_close();
  CHECK_OK(pl_convolution_create(&usual, &described));
  CHECK_OK(pl_cuda_open(0));
  CHECK_OK(pl_convolution_create(&usual, &open));
  assert_ptr_not_equal(described, open);
  assert_int_equal(pl_convolution_scratch_bytes(described), pl_convolution_scratch_bytes(open));
  float *x = cuda_test_place(NULL, X * sizeof *x);
  assert_int_equal(pl_convolution_forward(described, x, x, x, x), PL_E_INTERNAL);
  pl_cuda_device.release(x);
  pl_convolution_destroy(&described);
  pl_convolution_destroy(&open);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_first_that_may_run),
      cmocka_unit_test(none_is_no_error),
      cmocka_unit_test(what_is_wrong_is_said),
      cmocka_unit_test(a_described_device_runs_nothing),
  };
  CHECK_OK(pl_cuda_open(0));
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
