#include "tests/unit/op_compare.h"

#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "tests/check.h"
#include "tests/unit/reference_backend.h"

static const pl_backend *backend;
static bool has_bf16_products;

void op_compare_on(const pl_backend *of, bool bf16_products) {
  backend = of;
  has_bf16_products = bf16_products;
}

static bool can_run(const op_setup *s) {
  bool product = s->kind == PL_OP_CONV || s->kind == PL_OP_LINEAR || s->kind == PL_OP_ATTENTION;
  return s->in_type == PL_F32 || !product || has_bf16_products;
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
  op_fixture own, naive;
  op_fixture_open(&own, setup, backend);
  op_fixture_open(&naive, setup, pl_reference_backend());
  double tolerance = setup->in_type == PL_F32 ? 1e-5 : 1e-2;
  op_fixture_forward(&own);
  op_fixture_forward(&naive);
  check_close(setup->name, "y", setup->out_type, own.y, naive.y, own.out_count, tolerance);
  if (!setup->inference) {
    /* The same y for both: a relu's mask at a rounding's distance from zero is nobody's error. */
    memcpy(own.y, naive.y, own.out_count * pl_dtype_bytes(setup->out_type));
    op_fixture_backward(&own);
    op_fixture_backward(&naive);
    check_close(setup->name, "dx", setup->in_type, own.dx, naive.dx, own.in_count, tolerance);
    check_close(setup->name, "dweight", PL_F32, own.dweight, naive.dweight, own.weights, tolerance);
    check_close(setup->name, "dbias", PL_F32, own.dbias, naive.dbias, own.biases, tolerance);
    if (setup->add || setup->kind == PL_OP_ADD)
      check_close(setup->name, "dskip", setup->in_type, own.dskip, naive.dskip, own.out_count,
                  tolerance);
  }
  for (size_t i = 0; i < own.needs.phase_sums; i++) {
    double scale = leaf_scale(&own);
    CHECK_NEAR(own.forward_sums[i] / scale, naive.forward_sums[i] / scale, 1e-6);
    CHECK_NEAR(own.backward_sums[i] / scale, naive.backward_sums[i] / scale, tolerance);
  }
  op_fixture_close(&own);
  op_fixture_close(&naive);
}

void op_compare_all(const op_table *table) {
  for (size_t i = 0; i < table->count; i++) {
    op_setup s = table->setups[i];
    s.in_type = s.out_type = PL_F32;
    compare(&s);
    s.in_type = s.out_type = PL_BF16;
    if (can_run(&s)) compare(&s);
    s.out_type = PL_F32;
    if (table->widens && can_run(&s)) compare(&s);
  }
}

/* The same values in a block that starts a cache line later. */
static void *moved(void *block, size_t bytes) {
  char *copy = pl_alloc(bytes + 2 * PL_ALIGNMENT, 1);
  assert_non_null(copy);
  memcpy(copy + PL_ALIGNMENT, block, bytes);
  return copy;
}

void op_check_same_bits(const op_fixture *a, const op_fixture *b, const char *when) {
  const op_setup *s = &a->setup;
  bool same = memcmp(a->y, b->y, a->out_count * pl_dtype_bytes(s->out_type)) == 0 &&
              memcmp(a->dx, b->dx, a->in_count * pl_dtype_bytes(s->in_type)) == 0 &&
              memcmp(a->dskip, b->dskip, a->out_count * pl_dtype_bytes(s->in_type)) == 0 &&
              memcmp(a->dweight, b->dweight, a->weights * sizeof(float)) == 0 &&
              memcmp(a->dbias, b->dbias, a->biases * sizeof(float)) == 0;
  if (!same) print_error("%s (%s): other bits %s\n", s->name, pl_dtype_name(s->in_type), when);
  assert_true(same);
}

void op_run(op_fixture *f, const op_setup *setup) {
  op_fixture_open(f, setup, backend);
  op_fixture_forward(f);
  if (!setup->inference) op_fixture_backward(f);
}

static void run_with_threads(op_fixture *f, const op_setup *setup, int threads) {
  int before = pl_threads_count();
  pl_threads_use(threads);
  op_run(f, setup);
  pl_threads_use(before);
}

/* Runs again with every input and output elsewhere and old values left in scratch. */
void op_check_repeatable(const op_setup *setup) {
  op_fixture first, again;
  run_with_threads(&first, setup, 2);
  run_with_threads(&again, setup, 2);
  size_t in = pl_dtype_bytes(again.x_type), out = pl_dtype_bytes(setup->out_type);
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
  if (!setup->inference) op_fixture_backward(&elsewhere);
  if (setup->inference || again.x_type == PL_I32) /* nobody writes dx */
    memcpy(elsewhere.dx, first.dx, again.in_count * in);
  pl_threads_use(before);
  op_check_same_bits(&first, &elsewhere, "on a second run in other memory");
  void *blocks[] = {x, dy, y, dx};
  for (int i = 0; i < 4; i++) pl_free(blocks[i]);
  op_fixture_close(&first);
  op_fixture_close(&again);
}

void op_check_thread_counts(const op_setup *setup) {
  op_fixture one, three;
  run_with_threads(&one, setup, 1);
  run_with_threads(&three, setup, 3);
  op_check_same_bits(&one, &three, "with another number of threads");
  op_fixture_close(&one);
  op_fixture_close(&three);
}

void op_for_both_types(const op_table *table, void (*check)(const op_setup *)) {
  for (size_t i = 0; i < table->count; i++) {
    op_setup s = table->setups[i];
    s.in_type = s.out_type = PL_F32;
    check(&s);
    s.in_type = s.out_type = PL_BF16;
    if (can_run(&s)) check(&s);
  }
}
