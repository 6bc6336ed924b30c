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

/* What rounding explains of a difference between two arrays: of an element, in parts of the largest
 * one and of itself, and of the whole, in parts of its length. */
typedef struct allowance {
  double of_largest, of_itself, of_length;
} allowance;

typedef enum result { Y, DX, DSKIP, DWEIGHT, DBIAS } result;
static const char *const result_name[] = {"y", "dx", "dskip", "dweight", "dbias"};

/* Whether kernels may round numbers of bf16 besides those that they are handed and that they hand
 * over, because tensor cores or libraries want it. */
static bool rounds_within(const op_setup *s, result which) {
  if (s->kind == PL_OP_ATTENTION) return true;  /* probabilities, slopes of scores */
  if (s->kind == PL_OP_CONV) return which != Y; /* cuDNN's dweight; dx of single windows */
  if (s->kind != PL_OP_LINEAR) return false;
  if (s->out_type == PL_F32) return which == DX || which == DWEIGHT; /* dy */
  return which == Y && s->bias;                                      /* the bias */
}

/* Sums are of f32 or wider. A number that is stored in bf16 may be the neighbour of the expected
 * one, a step of up to 1/128 of itself, where the exact one lies between the two; few do, so as a
 * whole these arrays are as near as the third figure. */
static allowance allowance_of(const op_setup *s, result which, pl_dtype type) {
  if (s->in_type == PL_BF16 && rounds_within(s, which)) return (allowance){1e-2, 0, 5e-3};
  if (type == PL_BF16) return (allowance){1e-5, 1.0 / 128, 1e-3};
  return (allowance){1e-5, 0, 1e-5};
}

static void check_close(const op_setup *s, result which, pl_dtype type, const void *a,
                        const void *b, size_t n) {
  const allowance allowed = allowance_of(s, which, type);
  double largest = 0, length = 0, distance = 0;
  for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)op_fixture_get(type, b, i)));
  for (size_t i = 0; i < n; i++) {
    double va = op_fixture_get(type, a, i), vb = op_fixture_get(type, b, i);
    length += vb * vb;
    distance += (va - vb) * (va - vb);
    if (!(fabs(va - vb) <= allowed.of_largest * largest + allowed.of_itself * fabs(vb)))
      fail_msg("%s (%s): %s[%zu] = %.9g, expected %.9g; largest %.9g", s->name,
               pl_dtype_name(s->in_type), result_name[which], i, va, vb, largest);
  }
  if (!(sqrt(distance) <= allowed.of_length * sqrt(length)))
    fail_msg("%s (%s): %s is off by %.3g of its length", s->name, pl_dtype_name(s->in_type),
             result_name[which], sqrt(distance / length));
}

/* Elements per channel: sums are compared as means. */
static double leaf_scale(const op_fixture *f) {
  return (double)f->in_count / f->op.in_shape.channels;
}

static void compare(const op_setup *setup) {
  op_fixture own, naive;
  op_fixture_open(&own, setup, backend);
  op_fixture_open(&naive, setup, pl_reference_backend());
  op_fixture_forward(&own);
  op_fixture_forward(&naive);
  check_close(setup, Y, setup->out_type, own.y, naive.y, own.out_count);
  if (!setup->inference) {
    /* The same y for both: a relu's mask at a rounding's distance from zero is nobody's error. */
    memcpy(own.y, naive.y, own.out_count * pl_dtype_bytes(setup->out_type));
    op_fixture_backward(&own);
    op_fixture_backward(&naive);
    if (own.x_type != PL_I32)
      check_close(setup, DX, setup->in_type, own.dx, naive.dx, own.in_count);
    check_close(setup, DWEIGHT, PL_F32, own.dweight, naive.dweight, own.weights);
    check_close(setup, DBIAS, PL_F32, own.dbias, naive.dbias, own.biases);
    if (setup->add || setup->kind == PL_OP_ADD)
      check_close(setup, DSKIP, setup->in_type, own.dskip, naive.dskip, own.out_count);
  }
  for (size_t i = 0; i < own.needs.phase_sums; i++) {
    double scale = leaf_scale(&own);
    CHECK_NEAR(own.forward_sums[i] / scale, naive.forward_sums[i] / scale, 1e-6);
    CHECK_NEAR(own.backward_sums[i] / scale, naive.backward_sums[i] / scale, 1e-5);
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

/* What is added to is dx itself, as it was written; a sum is rounded at most once more. */
void op_check_adding(const op_setup *setup) {
  const double rounding = setup->in_type == PL_BF16 ? 0x1p-7 : 1e-5;
  op_fixture f;
  op_fixture_open(&f, setup, backend);
  if (f.needs.backward_adds_dx && !setup->inference) {
    size_t bytes = f.in_count * pl_dtype_bytes(f.x_type);
    op_fixture_forward(&f);
    op_fixture_backward(&f);
    char *block = moved(f.dx, bytes);
    const void *once = block + PL_ALIGNMENT;
    f.add_dx = true;
    op_fixture_backward(&f);
    for (size_t i = 0; i < f.in_count; i++) {
      double expected = 2 * (double)op_fixture_get(f.x_type, once, i);
      double sum = (double)op_fixture_get(f.x_type, f.dx, i);
      if (!(fabs(sum - expected) <= rounding * fabs(expected)))
        fail_msg("%s: dx[%zu] was added to %.9g, expected %.9g", setup->name, i, sum, expected);
    }
    pl_free(block);
  }
  op_fixture_close(&f);
}
