#include "runtime/cuda/windows.h"

#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"

/* The largest part of `rows` that divides them without a rest and whose lines take at most
 * `most_bytes`, or one row: all pieces are alike, and one plan does for them. */
static int rows_at_once(int rows, size_t row_bytes, size_t most_bytes) {
  int pieces = 1;
  while (pieces < rows && (rows % pieces != 0 || row_bytes * (size_t)(rows / pieces) > most_bytes))
    pieces++;
  return rows / pieces;
}

static void describe(const pl_kernel_spec *spec, size_t most_bytes, pl_window_product *p) {
  const pl_op *op = spec->op;
  pl_window window = op->window;
  p->need_dx = spec->training && spec->need_dx;
  p->windows = (pl_cuda_windows){.type = spec->in_type,
                                 .rows = 1,
                                 .channels = op->in_shape.channels,
                                 .in_height = op->in_shape.height,
                                 .in_width = op->in_shape.width,
                                 .out_height = op->out_shape.height,
                                 .out_width = op->out_shape.width,
                                 .kernel = window.kernel,
                                 .stride = window.stride,
                                 .pad = window.pad};
  size_t row_bytes = pl_cuda_windows_elements(&p->windows) * pl_dtype_bytes(spec->in_type);
  bool overlap = window.kernel > window.stride;
  p->windows.rows = overlap ? rows_at_once(spec->rows, row_bytes, most_bytes) : spec->rows;
  p->pieces = spec->rows / p->windows.rows;
  if (window.kernel != 1 || window.stride != 1 || window.pad != 0)
    p->lines_bytes = pl_align_up(row_bytes * (size_t)p->windows.rows);
}

pl_status pl_window_product_create(const pl_kernel_spec *spec, size_t most_bytes,
                                   pl_window_product *product) {
  describe(spec, most_bytes, product);
  const pl_cuda_windows *w = &product->windows;
  pl_dense_spec dense = {.lines = w->rows * w->out_height * w->out_width,
                         .inner = w->channels * w->kernel * w->kernel,
                         .features = spec->op->out_shape.channels,
                         .backward = spec->training,
                         .need_dx = product->need_dx,
                         .type = w->type,
                         .out_type = w->type};
  return pl_dense_create(&dense, &product->dense);
}

void pl_window_product_free(pl_window_product *product) {
  pl_dense_free(&product->dense);
  *product = (pl_window_product){0};
}

/* Lines, their gradients, and what the products want. */
size_t pl_window_product_scratch_bytes(const pl_window_product *product) {
  return (product->need_dx ? 2 : 1) * product->lines_bytes +
         pl_dense_scratch_bytes(&product->dense);
}

pl_status pl_window_product_load(pl_window_product *product, const void *weight) {
  return pl_dense_load(&product->dense, weight, NULL);
}

/* ---- pieces ---- */

/* Bytes before a piece of x, and of y. */
static size_t before_x(const pl_window_product *p, int piece) {
  const pl_cuda_windows *w = &p->windows;
  size_t row = (size_t)w->in_height * (size_t)w->in_width * (size_t)w->channels;
  return (size_t)piece * (size_t)w->rows * row * pl_dtype_bytes(w->type);
}
static size_t before_y(const pl_window_product *p, int piece) {
  const pl_dense_spec *s = &p->dense.spec;
  return (size_t)piece * (size_t)s->lines * (size_t)s->features * pl_dtype_bytes(s->type);
}

/* The product's lines: x, or what the first part of scratch then holds. */
static pl_status lines_of(const pl_window_product *p, const char *x, void *scratch,
                          const void **lines) {
  *lines = x;
  if (p->lines_bytes == 0) return PL_OK;
  pl_launch_windows(pl_cuda_stream(), &p->windows, x, scratch);
  *lines = scratch;
  return pl_cuda_check("gathering windows", cudaGetLastError());
}

static pl_status data_gradient(const pl_window_product *p, const char *dy, bool add, char *dx,
                               char *scratch) {
  if (p->lines_bytes == 0) return pl_dense_backward_data(&p->dense, dy, add, dx, scratch);
  PL_TRY(pl_dense_backward_data(&p->dense, dy, false, scratch, scratch + p->lines_bytes));
  pl_launch_windows_gradient(pl_cuda_stream(), &p->windows, scratch, dx);
  return pl_cuda_check("gradient of windows", cudaGetLastError());
}

pl_status pl_window_product_forward(const pl_window_product *product, const void *x, void *y,
                                    void *scratch) {
  const pl_window_product *p = product;
  for (int i = 0; i < p->pieces; i++) {
    const void *lines;
    PL_TRY(lines_of(p, (const char *)x + before_x(p, i), scratch, &lines));
    PL_TRY(pl_dense_forward(&p->dense, lines, (char *)y + before_y(p, i),
                            (char *)scratch + p->lines_bytes));
  }
  return PL_OK;
}

pl_status pl_window_product_backward(const pl_window_product *product, const void *x,
                                     const void *dy, bool add_dx, void *dx, float *dweight,
                                     void *scratch) {
  const pl_window_product *p = product;
  char *inner = (char *)scratch + p->lines_bytes;
  for (int i = 0; i < p->pieces; i++) {
    const char *piece = (const char *)dy + before_y(p, i);
    const void *lines;
    PL_TRY(lines_of(p, (const char *)x + before_x(p, i), scratch, &lines));
    PL_TRY(pl_dense_backward_weight(&p->dense, lines, piece, i > 0, dweight, inner));
    if (p->need_dx) PL_TRY(data_gradient(p, piece, add_dx, (char *)dx + before_x(p, i), inner));
  }
  return PL_OK;
}
