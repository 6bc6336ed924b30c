/* Matrix products of runtime/cuda/product.h against plain loops: every way that matrices may lie,
 * in batches, with a bias, at addresses that are hardly aligned; and what dense.h makes of them.
 * Built twice, as test_cuda_ops.c.
 */
#include "runtime/cuda/product.h"

#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/dense.h"
#include "runtime/cuda/kernel.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/op_fixture.h"

/* A matrix of the product with room around it, here and on the device. */
typedef struct operand {
  pl_product_matrix lies;
  pl_dtype type;
  size_t count; /* elements in all, `placement` of them in front */
  void *host, *device;
} operand;

static const float UNTOUCHED = 77;

/* (rows, cols) matrices with a gap behind each line and each matrix. */
static operand open_operand(pl_dtype type, int batch, int rows, int cols, bool transposed,
                            int placement, uint32_t stream) {
  int lines = transposed ? cols : rows, length = (transposed ? rows : cols) + 3;
  operand o = {.type = type};
  o.lies = (pl_product_matrix){.transposed = transposed,
                               .line = length,
                               .step = (int64_t)lines * length + 5,
                               .placement = placement};
  o.count = (size_t)(placement + batch * o.lies.step);
  o.host = pl_alloc(o.count, pl_dtype_bytes(type));
  assert_non_null(o.host);
  pl_random r = pl_random_stream(3, PL_RANDOM_TEST, stream, 0, 0);
  for (size_t i = 0; i < o.count; i++)
    op_fixture_set(type, o.host, i, stream == 0 ? UNTOUCHED : pl_random_normal(&r));
  size_t bytes = o.count * pl_dtype_bytes(type);
  CHECK_OK(pl_cuda_device.alloc(bytes, &o.device));
  CHECK_OK(pl_cuda_device.put(o.device, o.host, bytes));
  return o;
}

static void close_operand(operand *o) {
  pl_cuda_device.release(o->device);
  pl_free(o->host);
}

static void *start(const operand *o) {
  return (char *)o->device + (size_t)o->lies.placement * pl_dtype_bytes(o->type);
}

static size_t place(const operand *o, int batch, int row, int col) {
  int64_t in_matrix =
      o->lies.transposed ? col * o->lies.line + row : row * o->lies.line + (int64_t)col;
  return (size_t)(o->lies.placement + batch * o->lies.step + in_matrix);
}

static double at(const operand *o, int batch, int row, int col) {
  return (double)op_fixture_get(o->type, o->host, place(o, batch, row, col));
}

static double expected(const pl_product_spec *s, const operand *left, const operand *right,
                       const operand *bias, int batch, int row, int col) {
  double sum = s->bias ? at(bias, 0, 0, col) : 0;
  for (int k = 0; k < s->inner; k++) sum += at(left, batch, row, k) * at(right, batch, k, col);
  return sum;
}

/* What came out, and that nothing between the lines was touched. */
static void check_result(const pl_product_spec *s, const operand *left, const operand *right,
                         const operand *bias, operand *out) {
  size_t bytes = out->count * pl_dtype_bytes(out->type), written = 0, kept = 0;
  CHECK_OK(pl_cuda_device.get(out->host, out->device, bytes));
  double rounding = out->type == PL_BF16 ? 0x1p-8 : 0; /* of the result, besides sums of f32 */
  for (int b = 0; b < s->batch; b++)
    for (int i = 0; i < s->rows; i++)
      for (int j = 0; j < s->cols; j++, written++) {
        double wanted = expected(s, left, right, bias, b, i, j);
        CHECK_NEAR(at(out, b, i, j), wanted, 1e-5 + (1e-5 + rounding) * fabs(wanted));
      }
  for (size_t i = 0; i < out->count; i++)
    kept += op_fixture_get(out->type, out->host, i) == UNTOUCHED;
  assert_int_equal(written + kept, out->count);
}

static void multiply(pl_product_spec s, bool left_transposed, bool right_transposed, bool with_bias,
                     int placement) {
  operand left = open_operand(s.type, s.batch, s.rows, s.inner, left_transposed, placement, 1);
  operand right = open_operand(s.type, s.batch, s.inner, s.cols, right_transposed, placement, 2);
  operand out = open_operand(s.out_type, s.batch, s.rows, s.cols, false, placement, 0);
  operand bias = open_operand(s.out_type, 1, 1, s.cols, false, 0, 3);
  s.left = left.lies;
  s.right = right.lies;
  s.out = out.lies;
  s.bias = with_bias;
  pl_product *product = NULL;
  void *scratch = NULL;
  CHECK_OK(pl_product_create(&s, &product));
  if (with_bias) CHECK_OK(pl_product_set_bias(product, bias.device));
  CHECK_OK(pl_cuda_device.alloc(pl_product_scratch_bytes(product), &scratch));
  CHECK_OK(pl_product_run(product, start(&left), start(&right), start(&out), scratch));
  check_result(&s, &left, &right, &bias, &out);
  pl_product_destroy(&product);
  assert_null(product);
  pl_cuda_device.release(scratch);
  operand *all[] = {&left, &right, &out, &bias};
  for (int i = 0; i < 4; i++) close_operand(all[i]);
}

static void in_each_type(pl_product_spec spec, bool left, bool right, bool bias, int placement) {
  spec.type = spec.out_type = PL_F32;
  multiply(spec, left, right, bias, placement);
  spec.type = PL_BF16;
  multiply(spec, left, right, bias, placement);
  spec.out_type = PL_BF16;
  multiply(spec, left, right, bias, placement);
}

static void matrices_may_lie_any_way(void **state) {
  (void)state;
  const pl_product_spec one = {.batch = 1, .rows = 5, .inner = 37, .cols = 9};
  const pl_product_spec batch = {.batch = 4, .rows = 8, .inner = 16, .cols = 7};
  for (int way = 0; way < 4; way++) {
    in_each_type(one, way & 1, way & 2, false, 0);
    in_each_type(one, way & 1, way & 2, true, 0);
    in_each_type(batch, way & 1, way & 2, false, 0);
    in_each_type(batch, way & 1, way & 2, false, 6);
  }
}

/* A copy on the device; of zeros where there is nothing to copy. */
static void *placed(const float *host, size_t count) {
  void *there = NULL;
  CHECK_OK(pl_cuda_device.alloc(count * sizeof *host, &there));
  if (host) CHECK_OK(pl_cuda_device.put(there, host, count * sizeof *host));
  return there;
}

enum { LINES = 3, INNER = 2, FEATURES = 5, DY = LINES * FEATURES };

/* Small whole numbers: exact in any order. */
static void check_gradients(const float *x, const float *weight, const float *dy, const float *dx,
                            const float *dweight) {
  for (int k = 0; k < INNER; k++) {
    for (int i = 0; i < LINES; i++) {
      float sum = 0;
      for (int j = 0; j < FEATURES; j++) sum += dy[i * FEATURES + j] * weight[j * INNER + k];
      CHECK_NEAR(dx[i * INNER + k], sum, 0);
    }
    for (int j = 0; j < FEATURES; j++) {
      float sum = 0;
      for (int i = 0; i < LINES; i++) sum += dy[i * FEATURES + j] * x[i * INNER + k];
      CHECK_NEAR(dweight[j * INNER + k], sum, 0);
    }
  }
}

/* Leaves' gradients lie one behind the other, each where the last one ended. */
static void a_gradient_may_lie_behind_others(void **state) {
  (void)state;
  const float x[LINES * INNER] = {1, 2, 3, 4, 5, 6};
  const float weight[FEATURES * INNER] = {1, 0, 0, 1, 1, 1, 2, 0, 0, 2};
  float leaves[2 * DY] = {0}, dx[LINES * INNER], dweight[FEATURES * INNER];
  for (int i = 0; i < DY; i++) leaves[DY + i] = (float)(i - 7);
  void *there[] = {placed(x, LINES * INNER), placed(weight, FEATURES * INNER),
                   placed(leaves, 2 * DY), placed(NULL, LINES * INNER),
                   placed(NULL, FEATURES * INNER)};
  pl_dense dense = {0};
  pl_dense_spec spec = {.lines = LINES,
                        .inner = INNER,
                        .features = FEATURES,
                        .backward = true,
                        .need_dx = true,
                        .type = PL_F32,
                        .out_type = PL_F32};
  CHECK_OK(pl_dense_create(&spec, &dense));
  CHECK_OK(pl_dense_load(&dense, there[1], NULL));
  void *scratch = NULL;
  CHECK_OK(pl_cuda_device.alloc(pl_dense_scratch_bytes(&dense), &scratch));
  const float *dy = (const float *)there[2] + DY;
  CHECK_OK(pl_dense_backward_weight(&dense, there[0], dy, false, there[4], scratch));
  CHECK_OK(pl_dense_backward_data(&dense, dy, false, there[3], scratch));
  CHECK_OK(pl_cuda_device.get(dx, there[3], sizeof dx));
  CHECK_OK(pl_cuda_device.get(dweight, there[4], sizeof dweight));
  check_gradients(x, weight, leaves + DY, dx, dweight);
  pl_dense_free(&dense);
  pl_cuda_device.release(scratch);
  for (int i = 0; i < 5; i++) pl_cuda_device.release(there[i]);
}

/* Small whole numbers: exact in any order. */
static void products_may_be_added(void **state) {
  (void)state;
  const float left[] = {1, 2, 3, 4}, right[] = {5, 6, 7, 8}, sums[] = {19, 22, 43, 50};
  const pl_product_matrix lies = {.line = 2};
  const pl_product_spec spec = {.batch = 1,
                                .rows = 2,
                                .inner = 2,
                                .cols = 2,
                                .left = lies,
                                .right = lies,
                                .out = lies,
                                .type = PL_F32,
                                .out_type = PL_F32};
  pl_product *product = NULL;
  void *there[] = {placed(left, 4), placed(right, 4), placed(NULL, 4)}, *scratch = NULL;
  float out[4];
  CHECK_OK(pl_product_create(&spec, &product));
  assert_true(pl_product_scratch_bytes(product) <= PL_PRODUCT_MOST_SCRATCH);
  CHECK_OK(pl_cuda_device.alloc(pl_product_scratch_bytes(product), &scratch));
  for (int times = 1; times <= 3; times++) {
    if (times == 1)
      CHECK_OK(pl_product_run(product, there[0], there[1], there[2], scratch));
    else
      CHECK_OK(pl_product_add(product, there[0], there[1], there[2], scratch));
    CHECK_OK(pl_cuda_device.get(out, there[2], sizeof out));
    for (int i = 0; i < 4; i++) CHECK_NEAR(out[i], times * sums[i], 0);
  }
  pl_product_destroy(&product);
  pl_cuda_device.release(scratch);
  for (int i = 0; i < 3; i++) pl_cuda_device.release(there[i]);
}

/* Ones everywhere: each element is the number of terms that were summed. */
static void count_terms(pl_dtype type, int inner) {
  const pl_product_matrix lies = {.line = inner};
  pl_product_spec spec = {.batch = 1,
                          .rows = 8,
                          .inner = inner,
                          .cols = 8,
                          .left = lies,
                          .right = lies,
                          .out = {.line = 8},
                          .type = type,
                          .out_type = PL_F32};
  spec.right.transposed = true;
  pl_product *product = NULL;
  size_t count = 8 * (size_t)inner, bytes = count * pl_dtype_bytes(type);
  void *ones = pl_alloc(count, pl_dtype_bytes(type)), *there, *scratch, *out = placed(NULL, 64);
  float sums[64];
  assert_non_null(ones);
  for (size_t i = 0; i < count; i++) op_fixture_set(type, ones, i, 1);
  CHECK_OK(pl_product_create(&spec, &product));
  CHECK_OK(pl_cuda_device.alloc(bytes, &there));
  CHECK_OK(pl_cuda_device.put(there, ones, bytes));
  CHECK_OK(pl_cuda_device.alloc(pl_product_scratch_bytes(product), &scratch));
  CHECK_OK(pl_product_run(product, there, there, out, scratch));
  CHECK_OK(pl_cuda_device.get(sums, out, sizeof sums));
  for (int i = 0; i < 64; i++) CHECK_NEAR(sums[i], inner, 0);
  pl_product_destroy(&product);
  pl_cuda_device.release(scratch);
  pl_cuda_device.release(there);
  pl_cuda_device.release(out);
  pl_free(ones);
}

/* Long sums are split in parts, which must not lose what is behind the last whole step. */
static void every_term_counts(void **state) {
  (void)state;
  const int lengths[] = {8648, 11528, 57608, 65537};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    count_terms(PL_BF16, lengths[i]);
    count_terms(PL_F32, lengths[i]);
  }
}

static void alignment_is_what_can_be_relied_on(void **state) {
  (void)state;
  pl_product_matrix m = {.placement = 0};
  assert_int_equal(pl_product_alignment(&m, PL_F32), PL_ALIGNMENT);
  m.placement = 64;
  assert_int_equal(pl_product_alignment(&m, PL_BF16), PL_ALIGNMENT);
  m.placement = 20;
  assert_int_equal(pl_product_alignment(&m, PL_F32), 16);
  assert_int_equal(pl_product_alignment(&m, PL_BF16), 8);
  m.placement = 3;
  assert_int_equal(pl_product_alignment(&m, PL_BF16), 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(matrices_may_lie_any_way),
      cmocka_unit_test(a_gradient_may_lie_behind_others),
      cmocka_unit_test(products_may_be_added),
      cmocka_unit_test(every_term_counts),
      cmocka_unit_test(alignment_is_what_can_be_relied_on),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
