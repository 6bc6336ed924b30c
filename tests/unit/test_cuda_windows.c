/* Convolutions as products of their windows (runtime/cuda/windows.h): all of them by these, against
 * the naive backend; and in pieces what they are at once. Built twice, as test_cuda_ops.c. */
#include "runtime/cuda/windows.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/kernel.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/op_compare.h"

enum { ROWS = 6, SIDE = 5, CHANNELS = 3, OUT_SIDE = 3, FEATURES = 7, KERNEL = 3 };
enum {
  X = ROWS * SIDE * SIDE * CHANNELS,
  Y = ROWS * OUT_SIDE * OUT_SIDE * FEATURES,
  LINE = CHANNELS * KERNEL * KERNEL,
  W = FEATURES * LINE
};

/* Windows of 3 in steps of 2 over images with a border of 1. */
static const pl_op op = {.kind = PL_OP_CONV,
                         .name = "conv",
                         .in_shape = {SIDE, SIDE, CHANNELS},
                         .out_shape = {OUT_SIDE, OUT_SIDE, FEATURES},
                         .window = {.kernel = KERNEL, .stride = 2, .pad = 1}};
static const pl_kernel_spec spec = {.op = &op,
                                    .rows = ROWS,
                                    .in_type = PL_F32,
                                    .out_type = PL_F32,
                                    .training = true,
                                    .need_dx = true};

typedef struct arrays {
  float x[X], w[W], dy[Y]; /* read */
  float y[Y], dx[X], dw[W];
} arrays;

static void fill(float *to, size_t n, uint32_t stream) {
  pl_random r = pl_random_stream(9, PL_RANDOM_TEST, stream, 0, 0);
  for (size_t i = 0; i < n; i++) to[i] = pl_random_normal(&r);
}

static void *to_device(const float *from, size_t n) {
  void *there;
  CHECK_OK(pl_cuda_device.alloc(n * sizeof *from, &there));
  CHECK_OK(pl_cuda_device.put(there, from, n * sizeof *from));
  return there;
}

static void bring_back(float *to, void *there, size_t n) {
  CHECK_OK(pl_cuda_device.get(to, there, n * sizeof *to));
  pl_cuda_device.release(there);
}

/* With so many rows at once. */
static void run(arrays *a, int rows) {
  pl_window_product product = {0};
  void *scratch, *x = to_device(a->x, X), *w = to_device(a->w, W), *dy = to_device(a->dy, Y);
  void *y = to_device(a->y, Y), *dx = to_device(a->dx, X), *dw = to_device(a->dw, W);
  size_t row_bytes = (size_t)OUT_SIDE * OUT_SIDE * LINE * sizeof(float);
  CHECK_OK(pl_window_product_create(&spec, (size_t)rows * row_bytes, &product));
  assert_int_equal(product.pieces, ROWS / rows);
  CHECK_OK(pl_cuda_device.alloc(pl_window_product_scratch_bytes(&product), &scratch));
  CHECK_OK(pl_window_product_load(&product, w));
  CHECK_OK(pl_window_product_forward(&product, x, y, scratch));
  CHECK_OK(pl_window_product_backward(&product, x, dy, false, dx, dw, scratch));
  bring_back(a->y, y, Y);
  bring_back(a->dx, dx, X);
  bring_back(a->dw, dw, W);
  pl_cuda_device.release(x);
  pl_cuda_device.release(w);
  pl_cuda_device.release(dy);
  pl_cuda_device.release(scratch);
  pl_window_product_free(&product);
}

static void check_close(const char *what, const float *a, const float *b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!(fabsf(a[i] - b[i]) < 1e-5f * (1 + fabsf(b[i]))))
      fail_msg("%s %zu: %g, not %g", what, i, (double)a[i], (double)b[i]);
}

static void pieces_make_the_whole(void **state) {
  (void)state;
  arrays *whole = pl_alloc(2, sizeof *whole), *parts = whole + 1;
  assert_non_null(whole);
  fill(whole->x, X, 1);
  fill(whole->w, W, 2);
  fill(whole->dy, Y, 3);
  *parts = *whole;
  run(whole, ROWS);
  for (int rows = 1; rows < ROWS; rows *= 3) {
    for (size_t i = 0; i < W; i++) parts->dw[i] = 1000; /* nothing is added to what was there */
    run(parts, rows);
    check_close("y", parts->y, whole->y, Y);
    check_close("dx", parts->dx, whole->dx, X);
    check_close("dweight", parts->dw, whole->dw, W);
  }
  pl_free(whole);
}

/* One element by hand: window (1, 1) begins at pixel (1, 1). */
static void a_window_is_where_it_should_be(void **state) {
  (void)state;
  arrays *a = pl_alloc(1, sizeof *a);
  assert_non_null(a);
  fill(a->x, X, 4);
  fill(a->w, W, 5);
  fill(a->dy, Y, 6);
  run(a, 2);
  const int row = 5, feature = 4;
  double sum = 0;
  for (int c = 0; c < CHANNELS; c++)
    for (int h = 0; h < KERNEL; h++)
      for (int w = 0; w < KERNEL; w++)
        sum += (double)a->x[((row * SIDE + 1 + h) * SIDE + 1 + w) * CHANNELS + c] *
               (double)a->w[feature * LINE + (c * KERNEL + h) * KERNEL + w];
  float y = a->y[((row * OUT_SIDE + 1) * OUT_SIDE + 1) * FEATURES + feature];
  assert_true(fabs((double)y - sum) < 1e-4);
  pl_free(a);
}

/* All shapes, where the emulated cuDNN can be told to refuse; a real one does what it can. */
static void what_cudnn_refuses_is_done(void **state) {
  (void)state;
  assert_int_equal(setenv("PLENUM_EMULATED_REFUSES", "convolution", 1), 0);
  op_compare_all(&op_convolutions);
  op_for_both_types(&op_convolutions, op_check_repeatable);
  assert_int_equal(unsetenv("PLENUM_EMULATED_REFUSES"), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_make_the_whole),
      cmocka_unit_test(a_window_is_where_it_should_be),
      cmocka_unit_test(what_cudnn_refuses_is_done),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  op_compare_on(pl_cuda_backend(), true);
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
