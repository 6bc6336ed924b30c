/* The processor backend in f32 against stored results of PyTorch in double precision
 * (tests/parity/ops_reference.py, which also says how they are laid out). */
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/cpu/cpu.h"
#include "tests/check.h"
#include "tests/unit/op_fixture.h"

#define TOLERANCE 1e-5 /* of the largest expected value */

/* The kinds in the order of the file. */
static const pl_op_kind kinds[] = {
    PL_OP_CONV,       PL_OP_BATCH_NORM, PL_OP_RELU,         PL_OP_ADD,       PL_OP_MAX_POOL,
    PL_OP_AVG_POOL,   PL_OP_LINEAR,     PL_OP_L2_NORMALIZE, PL_OP_EMBEDDING, PL_OP_POSITIONS,
    PL_OP_LAYER_NORM, PL_OP_GELU,       PL_OP_ATTENTION,    PL_OP_SELECT};

typedef struct reader {
  const char *at, *end;
} reader;

static void take(reader *r, void *to, size_t bytes) {
  assert_true((size_t)(r->end - r->at) >= bytes);
  memcpy(to, r->at, bytes);
  r->at += bytes;
}

static void check_next(reader *r, const char *what, int number, const void *values, size_t n) {
  float *expected = pl_alloc(n, sizeof *expected);
  assert_non_null(expected);
  take(r, expected, n * sizeof *expected);
  double largest = 0;
  for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)expected[i]));
  for (size_t i = 0; i < n; i++) {
    double value = ((const float *)values)[i];
    if (!(fabs(value - (double)expected[i]) <= TOLERANCE * largest)) {
      print_error("case %d: %s[%zu] = %.9g, PyTorch has %.9g, largest %.9g\n", number, what, i,
                  value, (double)expected[i], largest);
      fail();
    }
  }
  pl_free(expected);
}

/* What describes a case, in the order of the file. */
enum {
  KIND,
  ROWS,
  HEIGHT,
  WIDTH,
  CHANNELS,
  OUT,
  KERNEL,
  STRIDE,
  PAD,
  ADD,
  RELU,
  EACH,
  TRANSPOSED,
  CLASS_TOKEN,
  VOCABULARY,
  HEADS,
  CAUSAL,
  VARIANT,
  NUMBERS
};

static op_setup setup_of(const int32_t v[NUMBERS]) {
  assert_true(v[KIND] >= 0 && (size_t)v[KIND] < sizeof kinds / sizeof *kinds);
  return (op_setup){.name = "stored case",
                    .kind = kinds[v[KIND]],
                    .rows = v[ROWS],
                    .in = {v[HEIGHT], v[WIDTH], v[CHANNELS]},
                    .out_channels = v[OUT],
                    .window = {v[KERNEL], v[STRIDE], v[PAD]},
                    .bias = true,
                    .add = v[ADD],
                    .relu = v[RELU],
                    .each = v[EACH],
                    .transposed = v[TRANSPOSED],
                    .class_token = v[CLASS_TOKEN],
                    .vocabulary = v[VOCABULARY],
                    .heads = v[HEADS],
                    .causal = v[CAUSAL],
                    .gelu = v[VARIANT] ? PL_GELU_QUICK : PL_GELU_EXACT,
                    .select = v[VARIANT] ? PL_SELECT_END : PL_SELECT_FIRST};
}

static void check_case(reader *r, int number) {
  int32_t v[NUMBERS];
  take(r, v, sizeof v);
  op_setup setup = setup_of(v);
  op_fixture f;
  op_fixture_open(&f, &setup, pl_cpu_backend());
  size_t f32 = sizeof(float);
  take(r, f.x, f.in_count * f32); /* ids are as large */
  if (f.op.kind == PL_OP_SELECT && f.op.inputs == 2)
    take(r, f.skip, (size_t)v[ROWS] * v[HEIGHT] * sizeof(int32_t));
  if (v[ADD]) take(r, f.skip, f.out_count * f32);
  if (f.weights) take(r, op_fixture_weight(&f), f.weights * f32);
  if (f.biases) take(r, op_fixture_bias(&f), f.biases * f32);
  take(r, f.dy, f.out_count * f32);
  op_fixture_forward(&f);
  op_fixture_backward(&f);
  check_next(r, "y", number, f.y, f.out_count);
  if (f.x_type != PL_I32) check_next(r, "dx", number, f.dx, f.in_count);
  if (v[ADD]) check_next(r, "dskip", number, f.dskip, f.out_count);
  if (f.weights) check_next(r, "dweight", number, f.dweight, f.weights);
  if (f.biases) check_next(r, "dbias", number, f.dbias, f.biases);
  op_fixture_close(&f);
}

static void test_stored_cases(void **state) {
  (void)state;
  char *data;
  size_t size;
  CHECK_OK(pl_read_file(PL_TEST_FOLDER "/../parity/ops/cases.bin", 1 << 20, &data, &size));
  reader r = {data, data + size};
  int32_t cases;
  take(&r, &cases, sizeof cases);
  assert_true(cases > 0);
  for (int i = 0; i < cases; i++) check_case(&r, i);
  assert_true(r.at == r.end);
  pl_free(data);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_stored_cases)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
