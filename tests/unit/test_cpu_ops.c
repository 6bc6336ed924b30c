/* The processor backend against the naive one: every operation, forward and backward, on awkward
 * shapes; the same bits on every run, in other memory, and for own kernels with any number of
 * threads. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/cpu/cpu.h"
#include "tests/check.h"
#include "tests/unit/op_fixture.h"
#include "tests/unit/reference_backend.h"

#define CONV(r, h, w, c, o, k, s, p)                                                             \
  {                                                                                              \
    .name = "conv " #r "x" #h "x" #w "x" #c " to " #o ", " #k "/" #s "/" #p, .kind = PL_OP_CONV, \
    .rows = (r), .in = {(h), (w), (c)}, .out_channels = (o), .window = {                         \
      (k),                                                                                       \
      (s),                                                                                       \
      (p)                                                                                        \
    }                                                                                            \
  }

/* In bf16 small maps and lines of an awkward width take the way over strips (61 images of 4×4: two
 * strips, the last with an empty place); strided 1×1 takes the one over picked positions. */
static const op_setup convolutions[] = {
    CONV(2, 8, 8, 16, 16, 3, 1, 1),   CONV(1, 5, 7, 3, 5, 3, 1, 1),
    CONV(3, 9, 9, 7, 11, 3, 2, 1),    CONV(5, 4, 4, 33, 17, 3, 1, 1),
    CONV(13, 4, 4, 16, 32, 3, 1, 1),  CONV(7, 7, 7, 32, 16, 3, 2, 1),
    CONV(2, 1, 1, 16, 16, 3, 1, 1),   CONV(2, 20, 20, 3, 16, 7, 2, 3),
    CONV(4, 6, 6, 8, 8, 5, 1, 2),     CONV(2, 9, 8, 4, 6, 3, 1, 0),
    CONV(2, 24, 24, 16, 16, 3, 1, 1), CONV(3, 6, 5, 16, 24, 1, 1, 0),
    CONV(5, 7, 7, 19, 3, 1, 2, 0),    CONV(4, 8, 8, 32, 64, 1, 2, 0),
    CONV(2, 7, 5, 4, 4, 1, 3, 0),     CONV(2, 6, 6, 5, 7, 2, 2, 0),
    CONV(61, 4, 4, 3, 5, 3, 1, 1),    CONV(2, 3, 34, 8, 4, 3, 1, 1),
    CONV(3, 5, 67, 4, 4, 3, 2, 1),    CONV(2, 2, 262, 2, 3, 3, 1, 1),
};

static const op_setup linears[] = {
    {.name = "linear 5x12 to 7",
     .kind = PL_OP_LINEAR,
     .rows = 5,
     .in = {1, 1, 12},
     .out_channels = 7,
     .bias = true},
    {.name = "linear 1x16 to 64",
     .kind = PL_OP_LINEAR,
     .rows = 1,
     .in = {1, 1, 16},
     .out_channels = 64},
    {.name = "linear 32x128 to 96",
     .kind = PL_OP_LINEAR,
     .rows = 32,
     .in = {1, 1, 128},
     .out_channels = 96,
     .bias = true},
    {.name = "linear 3x(2x3x5) to 66",
     .kind = PL_OP_LINEAR,
     .rows = 3,
     .in = {2, 3, 5},
     .out_channels = 66,
     .bias = true},
};

#define NORM(r, h, w, c, ...)                                                           \
  {                                                                                     \
    .name = "norm " #r "x" #h "x" #w "x" #c " " #__VA_ARGS__, .kind = PL_OP_BATCH_NORM, \
    .rows = (r), .in = {(h), (w), (c)}, __VA_ARGS__                                     \
  }

static const op_setup norms[] = {
    NORM(3, 5, 5, 7, .relu = false),
    NORM(2, 8, 8, 16, .relu = true),
    NORM(4, 6, 6, 33, .add = true),
    NORM(5, 3, 4, 64, .add = true, .relu = true),
    NORM(64, 1, 1, 24, .relu = true),
    NORM(5, 1, 1, 3, .relu = false),
    NORM(9, 24, 24, 5, .relu = true),
    NORM(3, 7, 7, 20, .mean = 10),
    NORM(3, 5, 5, 7, .inference = true),
    NORM(2, 4, 4, 32, .inference = true, .relu = true),
    NORM(2, 4, 4, 9, .inference = true, .add = true, .relu = true),
};

#define POOL(k, r, h, w, c, ...)                                                       \
  {                                                                                    \
    .name = #k " " #r "x" #h "x" #w "x" #c " " #__VA_ARGS__, .kind = (k), .rows = (r), \
    .in = {(h), (w), (c)}, .window = __VA_ARGS__                                       \
  }

static const op_setup pools[] = {
    POOL(PL_OP_MAX_POOL, 2, 8, 8, 16, {3, 2, 1}), POOL(PL_OP_MAX_POOL, 1, 7, 5, 3, {2, 2, 0}),
    POOL(PL_OP_MAX_POOL, 3, 9, 9, 70, {3, 1, 1}), POOL(PL_OP_MAX_POOL, 2, 15, 15, 2, {15, 1, 7}),
    POOL(PL_OP_AVG_POOL, 2, 8, 8, 16, {3, 2, 1}), POOL(PL_OP_AVG_POOL, 5, 7, 5, 3, {2, 1, 0}),
    POOL(PL_OP_AVG_POOL, 3, 4, 4, 130, {0}),      POOL(PL_OP_AVG_POOL, 2, 1, 1, 5, {0}),
};

static const op_setup others[] = {
    {.name = "relu", .kind = PL_OP_RELU, .rows = 3, .in = {5, 4, 7}},
    {.name = "add", .kind = PL_OP_ADD, .rows = 3, .in = {5, 4, 7}},
    {.name = "l2 5x12", .kind = PL_OP_L2_NORMALIZE, .rows = 5, .in = {1, 1, 12}},
    {.name = "l2 17x128", .kind = PL_OP_L2_NORMALIZE, .rows = 17, .in = {1, 1, 128}},
    {.name = "l2 below epsilon",
     .kind = PL_OP_L2_NORMALIZE,
     .rows = 4,
     .in = {1, 1, 6},
     .epsilon = 100},
};

/* bf16 products are refused where the processor has none. */
static bool can_run(const op_setup *s) {
  bool product = s->kind == PL_OP_CONV || s->kind == PL_OP_LINEAR;
  return s->in_type == PL_F32 || !product || pl_cpu_has_bf16();
}

/* |a - b| <= tolerance * max |b| for every element. */
static void check_close(const char *name, const char *what, pl_dtype type, const void *a,
                        const void *b, size_t n, double tolerance) {
  double largest = 0;
  for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)op_fixture_get(type, b, i)));
  for (size_t i = 0; i < n; i++) {
    double va = op_fixture_get(type, a, i), vb = op_fixture_get(type, b, i);
    if (!(fabs(va - vb) <= tolerance * largest)) {
      print_error("%s (%s): %s[%zu] = %.9g, expected %.9g; largest %.9g\n", name,
                  pl_dtype_name(type), what, i, va, vb, largest);
      fail();
    }
  }
}

/* Elements per channel: sums are compared as means. */
static double leaf_scale(const op_fixture *f) {
  return (double)f->in_count / f->op.in_shape.channels;
}

static void compare(const op_setup *setup) {
  op_fixture cpu, naive;
  op_fixture_open(&cpu, setup, pl_cpu_backend());
  op_fixture_open(&naive, setup, pl_reference_backend());
  double tolerance = setup->in_type == PL_F32 ? 1e-5 : 1e-2;
  op_fixture_forward(&cpu);
  op_fixture_forward(&naive);
  check_close(setup->name, "y", setup->out_type, cpu.y, naive.y, cpu.out_count, tolerance);
  if (!setup->inference) {
    /* The same y for both: a relu's mask at a rounding's distance from zero is nobody's error. */
    memcpy(cpu.y, naive.y, cpu.out_count * pl_dtype_bytes(setup->out_type));
    op_fixture_backward(&cpu);
    op_fixture_backward(&naive);
    check_close(setup->name, "dx", setup->in_type, cpu.dx, naive.dx, cpu.in_count, tolerance);
    check_close(setup->name, "dweight", PL_F32, cpu.dweight, naive.dweight, cpu.weights, tolerance);
    check_close(setup->name, "dbias", PL_F32, cpu.dbias, naive.dbias, cpu.biases, tolerance);
    if (setup->add || setup->kind == PL_OP_ADD)
      check_close(setup->name, "dskip", setup->in_type, cpu.dskip, naive.dskip, cpu.out_count,
                  tolerance);
  }
  for (size_t i = 0; i < cpu.needs.phase_sums; i++) {
    double scale = leaf_scale(&cpu);
    CHECK_NEAR(cpu.forward_sums[i] / scale, naive.forward_sums[i] / scale, 1e-6);
    CHECK_NEAR(cpu.backward_sums[i] / scale, naive.backward_sums[i] / scale, tolerance);
  }
  op_fixture_close(&cpu);
  op_fixture_close(&naive);
}

static void compare_all(const op_setup *setups, size_t count, bool widens) {
  for (size_t i = 0; i < count; i++) {
    op_setup s = setups[i];
    s.in_type = s.out_type = PL_F32;
    compare(&s);
    s.in_type = s.out_type = PL_BF16;
    if (can_run(&s)) compare(&s);
    s.out_type = PL_F32;
    if (widens && can_run(&s)) compare(&s);
  }
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void test_convolution(void **state) {
  (void)state;
  compare_all(convolutions, COUNT(convolutions), false);
}

static void test_linear(void **state) {
  (void)state;
  compare_all(linears, COUNT(linears), true);
}

static void test_norm(void **state) {
  (void)state;
  compare_all(norms, COUNT(norms), true);
}

static void test_pool(void **state) {
  (void)state;
  compare_all(pools, COUNT(pools), false);
}

static void test_others(void **state) {
  (void)state;
  compare_all(others, COUNT(others), false);
}

/* The same values in a block that starts a cache line later. */
static void *moved(void *block, size_t bytes) {
  char *copy = pl_alloc(bytes + 2 * PL_ALIGNMENT, 1);
  assert_non_null(copy);
  memcpy(copy + PL_ALIGNMENT, block, bytes);
  return copy;
}

static void check_same(const op_setup *s, const op_fixture *a, const op_fixture *b,
                       const char *when) {
  bool same = memcmp(a->y, b->y, a->out_count * pl_dtype_bytes(s->out_type)) == 0 &&
              memcmp(a->dx, b->dx, a->in_count * pl_dtype_bytes(s->in_type)) == 0 &&
              memcmp(a->dskip, b->dskip, a->out_count * pl_dtype_bytes(s->in_type)) == 0 &&
              memcmp(a->dweight, b->dweight, a->weights * sizeof(float)) == 0 &&
              memcmp(a->dbias, b->dbias, a->biases * sizeof(float)) == 0;
  if (!same) print_error("%s (%s): other bits %s\n", s->name, pl_dtype_name(s->in_type), when);
  assert_true(same);
}

static void run_with_threads(op_fixture *f, const op_setup *setup, int threads) {
  int before = pl_threads_count();
  pl_threads_use(threads);
  op_fixture_open(f, setup, pl_cpu_backend());
  op_fixture_forward(f);
  if (!setup->inference) op_fixture_backward(f);
  pl_threads_use(before);
}

/* Runs again with every input and output elsewhere and old values left in scratch. */
static void check_repeatable(const op_setup *setup) {
  op_fixture first, again;
  run_with_threads(&first, setup, 2);
  run_with_threads(&again, setup, 2);
  size_t in = pl_dtype_bytes(setup->in_type), out = pl_dtype_bytes(setup->out_type);
  char *x = moved(again.x, again.in_count * in), *dy = moved(again.dy, again.out_count * out);
  char *y = moved(again.y, again.out_count * out), *dx = moved(again.dx, again.in_count * in);
  op_fixture elsewhere = again;
  elsewhere.x = x + PL_ALIGNMENT;
  elsewhere.dy = dy + PL_ALIGNMENT;
  elsewhere.y = y + PL_ALIGNMENT;
  elsewhere.dx = dx + PL_ALIGNMENT;
  memset(elsewhere.y, 0xFF, again.out_count * out);
  memset(elsewhere.dx, 0xFF, again.in_count * in);
  memset(elsewhere.scratch, 0xFF, again.needs.scratch_bytes);
  int before = pl_threads_count();
  pl_threads_use(2);
  op_fixture_forward(&elsewhere);
  if (setup->inference)
    memcpy(elsewhere.dx, first.dx, again.in_count * in);
  else
    op_fixture_backward(&elsewhere);
  pl_threads_use(before);
  check_same(setup, &first, &elsewhere, "on a second run in other memory");
  void *blocks[] = {x, dy, y, dx};
  for (int i = 0; i < 4; i++) pl_free(blocks[i]);
  op_fixture_close(&first);
  op_fixture_close(&again);
}

static void check_thread_counts(const op_setup *setup) {
  op_fixture one, three;
  run_with_threads(&one, setup, 1);
  run_with_threads(&three, setup, 3);
  check_same(setup, &one, &three, "with another number of threads");
  op_fixture_close(&one);
  op_fixture_close(&three);
}

static void for_both_types(const op_setup *setups, size_t count, void (*check)(const op_setup *)) {
  for (size_t i = 0; i < count; i++) {
    op_setup s = setups[i];
    s.in_type = s.out_type = PL_F32;
    check(&s);
    s.in_type = s.out_type = PL_BF16;
    if (can_run(&s)) check(&s);
  }
}

static void test_repeatable(void **state) {
  (void)state;
  for_both_types(convolutions, COUNT(convolutions), check_repeatable);
  for_both_types(linears, COUNT(linears), check_repeatable);
  for_both_types(norms, COUNT(norms), check_repeatable);
  for_both_types(pools, COUNT(pools), check_repeatable);
  for_both_types(others, COUNT(others), check_repeatable);
}

static void test_threads_change_no_bit(void **state) {
  (void)state;
  for_both_types(norms, COUNT(norms), check_thread_counts);
  for_both_types(pools, COUNT(pools), check_thread_counts);
  for_both_types(others, COUNT(others), check_thread_counts);
}

static void test_nan_passes(void **state) {
  (void)state;
  const op_setup setups[] = {
      {.name = "relu", .kind = PL_OP_RELU, .rows = 1, .in = {2, 2, 3}},
      {.name = "max", .kind = PL_OP_MAX_POOL, .rows = 1, .in = {2, 2, 3}, .window = {2, 1, 0}},
      {.name = "norm", .kind = PL_OP_BATCH_NORM, .rows = 2, .in = {2, 2, 3}, .relu = true}};
  for (size_t i = 0; i < COUNT(setups); i++) {
    op_fixture f;
    op_fixture_open(&f, &setups[i], pl_cpu_backend());
    ((float *)f.x)[0] = NAN; /* the first position's first channel */
    op_fixture_forward(&f);
    assert_true(isnan(((float *)f.y)[0]));
    op_fixture_close(&f);
  }
}

static void test_add_and_convert(void **state) {
  (void)state;
  enum { N = 1003 };
  const pl_backend *cpu = pl_cpu_backend();
  static float a[N], b[N], sum[N], back[N];
  static pl_bf16 narrow[N], narrow_sum[N];
  for (int i = 0; i < N; i++) {
    a[i] = (float)i * 0.37F - 100;
    b[i] = 50 - (float)i * 0.11F;
  }
  CHECK_OK(cpu->add(PL_F32, sum, a, b, N));
  CHECK_OK(cpu->convert(PL_BF16, narrow, PL_F32, a, N));
  CHECK_OK(cpu->convert(PL_F32, back, PL_BF16, narrow, N));
  CHECK_OK(cpu->add(PL_BF16, narrow_sum, narrow, narrow, N));
  for (int i = 0; i < N; i++) {
    assert_true(sum[i] == a[i] + b[i]);
    assert_int_equal(narrow[i], pl_f32_to_bf16(a[i]));
    assert_true(back[i] == pl_bf16_to_f32(narrow[i]));
    assert_true(pl_bf16_to_f32(narrow_sum[i]) == 2 * back[i]);
  }
  CHECK_OK(cpu->add(PL_F32, a, a, b, N));
  assert_memory_equal(a, sum, sizeof sum);
  CHECK_FAILS(PL_E_INTERNAL, "no conversion", cpu->convert(PL_U8, narrow, PL_F32, a, N));
}

static void test_refusals(void **state) {
  (void)state;
  const pl_backend *cpu = pl_cpu_backend();
  pl_op op = {.kind = PL_OP_MAX_POOL,
              .name = "pool",
              .in_shape = {32, 32, 4},
              .out_shape = {17, 17, 4},
              .window = {16, 1, 0}};
  pl_kernel_spec spec = {.op = &op, .rows = 2, .in_type = PL_F32, .out_type = PL_F32};
  assert_non_null(strstr(cpu->supports(&spec), "15"));
  pl_kernel *kernel = NULL;
  pl_kernel_needs needs;
  CHECK_FAILS(PL_E_USAGE, "pool: max pooling", cpu->prepare(&spec, &kernel, &needs));
  assert_null(kernel);
  op.kind = PL_OP_INPUT;
  assert_non_null(cpu->supports(&spec));
  const pl_op_kind kinds[] = {PL_OP_CONV,         PL_OP_LINEAR, PL_OP_BATCH_NORM,
                              PL_OP_L2_NORMALIZE, PL_OP_RELU,   PL_OP_ADD};
  spec.out_type = PL_BF16;
  for (size_t i = 0; i < COUNT(kinds); i++) {
    op.kind = kinds[i];
    assert_non_null(cpu->supports(&spec));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_convolution),
      cmocka_unit_test(test_linear),
      cmocka_unit_test(test_norm),
      cmocka_unit_test(test_pool),
      cmocka_unit_test(test_others),
      cmocka_unit_test(test_repeatable),
      cmocka_unit_test(test_threads_change_no_bit),
      cmocka_unit_test(test_nan_passes),
      cmocka_unit_test(test_add_and_convert),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
