/* losses: the pair sweep on one process, ntxent against PyTorch. */
#include <stdlib.h>
#include <string.h>

#include "losses/ntxent.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/threads.h"
#include "tests/check.h"

static float *random_floats(size_t n, uint64_t which) {
  float *values = pl_alloc(n, sizeof *values);
  assert_non_null(values);
  pl_random random = pl_random_stream(11, PL_RANDOM_TEST, 0, which, 0);
  for (size_t i = 0; i < n; i++) values[i] = pl_random_normal(&random);
  return values;
}

/* A loss whose value is plain: L = Σ_i Σ_j c_j s_ij with c_j = j + 1, so that W_ij = c_i + c_j.
 * Every pair must come exactly once and columns in order. */
typedef struct order_state {
  double sum;
  int64_t next_col;
} order_state;

static void order_begin(const void *context, void *state) {
  (void)context;
  *(order_state *)state = (order_state){0};
}

static void order_gather(const void *context, const pl_pair_tile *tile, void *states) {
  (void)context;
  for (int i = 0; i < tile->rows; i++) {
    order_state *row = (order_state *)states + i;
    if (row->next_col != tile->first_col) row->sum = NAN;
    for (int j = 0; j < tile->cols; j++)
      row->sum += (double)(tile->first_col + j + 1) * tile->s[i * tile->stride + j];
    row->next_col = tile->first_col + tile->cols;
  }
}

static void order_finish(const void *context, const void *state, float *stats, double *figures) {
  const order_state *row = state;
  const int64_t *cols = context;
  stats[0] = row->next_col == *cols ? 1 : NAN;
  figures[0] = row->sum;
}

static void order_weigh(const void *context, const pl_pair_tile *tile, const float *row_stats,
                        const float *col_stats) {
  (void)context;
  for (int i = 0; i < tile->rows; i++)
    for (int j = 0; j < tile->cols; j++)
      tile->s[i * tile->stride + j] = (float)(tile->first_row + i + 1) * row_stats[i] +
                                      (float)(tile->first_col + j + 1) * col_stats[j];
}

static void check_order(pl_comm *comm, const pl_pair_options *options) {
  pl_pair_sweep *sweep;
  CHECK_OK(pl_pair_sweep_create(comm, options, &sweep));
  int64_t rows = pl_pair_total_rows(sweep);
  int width = options->width;
  assert_int_equal(rows, options->leaves * options->leaf_rows);
  assert_int_equal(pl_pair_local_rows(sweep), rows);
  const pl_pair_loss loss = {.name = "order",
                             .stats = 1,
                             .figures = 1,
                             .state_bytes = sizeof(order_state),
                             .context = &rows,
                             .begin = order_begin,
                             .gather = order_gather,
                             .finish = order_finish,
                             .weigh = order_weigh};
  float *z = random_floats((size_t)(rows * width), 4);
  float *dz = random_floats((size_t)(rows * width), 5);
  double value;
  CHECK_OK(pl_pair_gather(sweep, z));
  CHECK_OK(pl_pair_statistics(sweep, &loss, &value));
  CHECK_OK(pl_pair_gradient(sweep, &loss, dz));

  double expected = 0;
  for (int k = 0; k < width; k++) {
    double sum = 0, weighted = 0;
    for (int64_t j = 0; j < rows; j++) {
      sum += z[j * width + k];
      weighted += (double)(j + 1) * z[j * width + k];
    }
    expected += sum * weighted;
    for (int64_t i = 0; i < rows; i++)
      CHECK_NEAR(dz[i * width + k] / (double)(rows * rows),
                 ((double)(i + 1) * sum + weighted) / (double)(rows * rows), 1e-5);
  }
  CHECK_NEAR(value / (double)(rows * rows), expected / (double)(rows * rows), 1e-5);
  pl_free(z);
  pl_free(dz);
  pl_pair_sweep_destroy(&sweep);
}

static void each_pair_comes_once(void **state) {
  const pl_pair_options options[] = {
      {.width = 3, .leaf_rows = 1, .leaves = 1},
      {.width = 5, .leaf_rows = 1, .leaves = 7, .tile_cols = 3},
      {.width = 8, .leaf_rows = 10, .leaves = 3, .tile_rows = 3, .tile_cols = 7},
      {.width = 16, .leaf_rows = 37, .leaves = 4, .tile_rows = 16, .tile_cols = 37},
      {.width = 16, .leaf_rows = 130, .leaves = 5},
      {.width = 2, .leaf_rows = 9, .leaves = 2, .tile_rows = 100, .tile_cols = 1},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++) check_order(*state, &options[i]);
}

/* The same with columns of another kind, and L = Σ_ij (j + 1) s_ij over rows i and columns j: the
 * weight of a pair is j + 1 for its sweep and i + 1 for its mirror, told by the statistics. */
static void two_kinds_finish(const void *context, const void *state, float *stats,
                             double *figures) {
  order_finish(context, state, stats, figures);
  stats[1] = 2 * stats[0];
}

static void rows_weigh(const void *context, const pl_pair_tile *tile, const float *row_stats,
                       const float *col_stats) {
  (void)context;
  for (int i = 0; i < tile->rows; i++)
    for (int j = 0; j < tile->cols; j++)
      tile->s[i * tile->stride + j] =
          (float)(tile->first_col + j + 1) * row_stats[2 * i] * col_stats[2 * j + 1] / 2;
}

static void columns_weigh(const void *context, const pl_pair_tile *tile, const float *row_stats,
                          const float *col_stats) {
  (void)context;
  for (int i = 0; i < tile->rows; i++)
    for (int j = 0; j < tile->cols; j++)
      tile->s[i * tile->stride + j] =
          (float)(tile->first_row + i + 1) * row_stats[2 * i] * col_stats[2 * j + 1] / 2;
}

/* For each element: dx = Σ_j (j + 1) y_j and dy_j = (j + 1) Σ_i x_i. */
static void check_two_gradients(const float *x, const float *y, const float *dx, const float *dy,
                                int64_t rows, int width) {
  double size = (double)rows * (double)rows;
  for (int k = 0; k < width; k++) {
    double sum = 0, weighted = 0;
    for (int64_t j = 0; j < rows; j++) {
      sum += x[j * width + k];
      weighted += (double)(j + 1) * y[j * width + k];
    }
    for (int64_t i = 0; i < rows; i++) {
      CHECK_NEAR(dx[i * width + k] / size, weighted / size, 1e-5);
      CHECK_NEAR(dy[i * width + k] / size, (double)(i + 1) * sum / size, 1e-5);
    }
  }
}

static void check_two_kinds(pl_comm *comm, const pl_pair_options *options) {
  pl_pair_sweep *sweep, *mirror;
  CHECK_OK(pl_pair_sweep_create(comm, options, &sweep));
  CHECK_OK(pl_pair_sweep_create_mirror(sweep, &mirror));
  int64_t rows = pl_pair_total_rows(sweep);
  assert_int_equal(pl_pair_total_rows(mirror), rows);
  assert_memory_equal(pl_pair_shapes(mirror), pl_pair_shapes(sweep), sizeof *options);
  size_t n = (size_t)(rows * options->width);
  const pl_pair_loss of_rows = {.name = "two kinds",
                                .stats = 2,
                                .figures = 1,
                                .state_bytes = sizeof(order_state),
                                .context = &rows,
                                .begin = order_begin,
                                .gather = order_gather,
                                .finish = two_kinds_finish,
                                .weigh = rows_weigh};
  pl_pair_loss of_columns = of_rows;
  of_columns.weigh = columns_weigh;
  float *x = random_floats(n, 4), *y = random_floats(n, 5);
  float *dx = random_floats(n, 6), *dy = random_floats(n, 7);
  double of_x, of_y;
  CHECK_OK(pl_pair_gather_two(sweep, x, y));
  CHECK_OK(pl_pair_gather_two(mirror, y, x));
  CHECK_OK(pl_pair_statistics(sweep, &of_rows, &of_x));
  CHECK_OK(pl_pair_statistics(mirror, &of_columns, &of_y));
  CHECK_OK(pl_pair_gradient_two(sweep, &of_rows, mirror, dx));
  CHECK_OK(pl_pair_gradient_two(mirror, &of_columns, sweep, dy));
  check_two_gradients(x, y, dx, dy, rows, options->width);

  /* New columns in the same place, though packed already by the other's turn. */
  memcpy(y, x, n * sizeof *y);
  CHECK_OK(pl_pair_gather_two(sweep, x, y));
  CHECK_OK(pl_pair_statistics(sweep, &of_rows, &of_x));
  CHECK_OK(pl_pair_statistics(mirror, &of_columns, &of_y));
  assert_true(of_x == of_y);
  CHECK_OK(pl_pair_gradient_two(sweep, &of_rows, mirror, dx));
  CHECK_OK(pl_pair_gradient_two(mirror, &of_columns, sweep, dy));
  check_two_gradients(x, y, dx, dy, rows, options->width);
  pl_free(x);
  pl_free(y);
  pl_free(dx);
  pl_free(dy);
  pl_pair_sweep_destroy(&mirror);
  pl_pair_sweep_destroy(&sweep);
}

static void columns_may_be_of_another_kind(void **state) {
  const pl_pair_options options[] = {
      {.width = 3, .leaf_rows = 1, .leaves = 1},
      {.width = 8, .leaf_rows = 10, .leaves = 3, .tile_rows = 3, .tile_cols = 7},
      {.width = 16, .leaf_rows = 130, .leaves = 5},
  };
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    check_two_kinds(*state, &options[i]);
}

static void senseless_shapes_are_refused(void **state) {
  pl_pair_sweep *sweep;
  CHECK_FAILS(
      PL_E_USAGE, "width 0",
      pl_pair_sweep_create(*state, &(pl_pair_options){.leaf_rows = 2, .leaves = 1}, &sweep));
  assert_null(sweep);
  const pl_pair_options options = {.width = 2, .leaf_rows = 2, .leaves = 3};
  float z[12] = {0};
  pl_contrast_figures figures;
  CHECK_OK(pl_pair_sweep_create(*state, &options, &sweep));
  CHECK_FAILS(PL_E_USAGE, "temperature", pl_ntxent(sweep, z, 1, 0, false, &figures, NULL));
  CHECK_FAILS(PL_E_USAGE, "temperature", pl_ntxent(sweep, z, 1, NAN, false, &figures, NULL));
  CHECK_FAILS(PL_E_INTERNAL, "2 rows per leaf", pl_ntxent(sweep, z, 2, 1, false, &figures, NULL));
  pl_pair_sweep_destroy(&sweep);
  pl_pair_sweep_destroy(&sweep);
}

/* Loss, figures and gradient with this team, into `dz`. */
static pl_contrast_figures ntxent_with(pl_comm *comm, int threads, const float *z, float *dz) {
  const pl_pair_options options = {
      .width = 24, .leaf_rows = 26, .leaves = 9, .tile_rows = 8, .tile_cols = 50};
  pl_contrast_figures figures;
  pl_pair_sweep *sweep;
  int before = pl_threads_count();
  pl_threads_use(threads);
  CHECK_OK(pl_pair_sweep_create(comm, &options, &sweep));
  CHECK_OK(pl_ntxent(sweep, z, 13, 0.1, true, &figures, dz));
  pl_pair_sweep_destroy(&sweep);
  pl_threads_use(before);
  return figures;
}

/* Also: no bit may depend on where the embeddings lie in memory. */
static void bits_do_not_depend_on_threads(void **state) {
  enum { ROWS = 26 * 9, WIDTH = 24, N = ROWS * WIDTH };
  float *z = random_floats(N, 6);
  float *moved = pl_alloc(N + 1, sizeof *moved), *dz = pl_alloc(N, sizeof *dz);
  float *again = pl_alloc(N + 1, sizeof *again);
  assert_true(moved && dz && again);
  memcpy(moved + 1, z, N * sizeof *z);
  pl_contrast_figures one = ntxent_with(*state, 1, z, dz);
  for (int threads = 1; threads <= 5; threads++) {
    pl_contrast_figures many = ntxent_with(*state, threads, moved + 1, again + 1);
    assert_memory_equal(&one, &many, sizeof one);
    assert_memory_equal(dz, again + 1, N * sizeof *dz);
  }
  pl_free(z);
  pl_free(moved);
  pl_free(dz);
  pl_free(again);
}

/* Memory grows with batch × width, without a batch × batch part. */
static void memory_is_linear(void **state) {
  const pl_pair_options options = {.width = 128, .leaf_rows = 128, .leaves = 512};
  pl_pair_sweep *sweep;
  CHECK_OK(pl_pair_sweep_create(*state, &options, &sweep));
  size_t embeddings = (size_t)65536 * 128 * sizeof(float);
  assert_true(pl_pair_sweep_bytes(sweep) >= 2 * embeddings);
  assert_true(pl_pair_sweep_bytes(sweep) <= 3 * embeddings);
  pl_pair_sweep_destroy(&sweep);
}

/* Reads the next n bytes of the stored references. */
static void take(const char **from, const char *end, void *to, size_t n) {
  assert_true((size_t)(end - *from) >= n);
  memcpy(to, *from, n);
  *from += n;
}

/* The file is written by tests/parity/ntxent_reference.py, which describes its layout. */
static void ntxent_equals_pytorch(void **state) {
  char *text;
  size_t size;
  CHECK_OK(pl_read_file(PL_TEST_FOLDER "/../parity/ntxent/cases.bin", 1 << 20, &text, &size));
  const char *at = text, *end = text + size;
  int cases = 0;
  for (; at < end; cases++) {
    struct {
      int32_t leaf_samples, leaves, width, padding;
      double temperature, loss, accuracy, alignment, uniformity;
    } head;
    take(&at, end, &head, sizeof head);
    size_t n = (size_t)head.leaf_samples * 2 * (size_t)head.leaves * (size_t)head.width;
    float *z = pl_alloc(n, sizeof *z), *dz = pl_alloc(n, sizeof *dz);
    double *expected = pl_alloc(n, sizeof *expected);
    assert_true(z && dz && expected);
    take(&at, end, z, n * sizeof *z);
    take(&at, end, expected, n * sizeof *expected);

    const pl_pair_options options = {
        .width = head.width, .leaf_rows = 2 * head.leaf_samples, .leaves = head.leaves};
    pl_contrast_figures figures;
    pl_pair_sweep *sweep;
    CHECK_OK(pl_pair_sweep_create(*state, &options, &sweep));
    CHECK_OK(pl_ntxent(sweep, z, head.leaf_samples, head.temperature, true, &figures, dz));
    CHECK_NEAR(figures.loss, head.loss, 1e-5);
    CHECK_NEAR(figures.accuracy, head.accuracy, 1e-12);
    CHECK_NEAR(figures.alignment, head.alignment, 1e-6);
    CHECK_NEAR(figures.uniformity, head.uniformity, 1e-6);
    double largest = 0;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < n; i++) CHECK_NEAR(dz[i] / largest, expected[i] / largest, 1e-5);
    pl_pair_sweep_destroy(&sweep);
    pl_free(z);
    pl_free(dz);
    pl_free(expected);
  }
  assert_int_equal(cases, 4);
  pl_free(text);
}

static int start(void **state) {
  pl_comm *comm;
  if (pl_comm_create_self(&comm) != PL_OK) return -1;
  *state = comm;
  return 0;
}

static int stop(void **state) {
  pl_comm *comm = *state;
  pl_comm_destroy(&comm);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_pair_comes_once),
      cmocka_unit_test(columns_may_be_of_another_kind),
      cmocka_unit_test(senseless_shapes_are_refused),
      cmocka_unit_test(bits_do_not_depend_on_threads),
      cmocka_unit_test(memory_is_linear),
      cmocka_unit_test(ntxent_equals_pytorch),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
