/* One position of each row: the first, or that of the largest token id. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/cpu/kernel.h"

typedef struct select_kernel {
  pl_kernel head;
  pl_select which;
  int rows, length;
  size_t bytes; /* of a position */
} select_kernel;

/* The position selected in `row`, of several with the largest id the first. */
static int selected(const select_kernel *k, const int32_t *ids, int row) {
  int best = 0;
  if (k->which == PL_SELECT_FIRST) return best;
  const int32_t *id = ids + (size_t)row * k->length;
  for (int t = 1; t < k->length; t++) best = id[t] > id[best] ? t : best;
  return best;
}

static pl_status select_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  select_kernel *k = (select_kernel *)kernel;
#pragma omp parallel for schedule(static)
  for (int row = 0; row < k->rows; row++) {
    size_t from = (size_t)row * k->length + selected(k, args->skip, row);
    memcpy((char *)args->y + row * k->bytes, (const char *)args->x + from * k->bytes, k->bytes);
  }
  return PL_OK;
}

static pl_status select_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  select_kernel *k = (select_kernel *)kernel;
  if (!args->dx) return PL_OK;
#pragma omp parallel for schedule(static)
  for (int row = 0; row < k->rows; row++) {
    char *dx = (char *)args->dx + (size_t)row * k->length * k->bytes;
    memset(dx, 0, k->length * k->bytes);
    memcpy(dx + selected(k, args->skip, row) * k->bytes, (const char *)args->dy + row * k->bytes,
           k->bytes);
  }
  return PL_OK;
}

static const pl_kernel_class select_class = {.destroy = pl_kernel_free,
                                             .load = pl_kernel_load_nothing,
                                             .forward = select_forward,
                                             .backward = select_backward};

static pl_status select_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  select_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (select_kernel){.head = {&select_class},
                       .which = op->select,
                       .rows = spec->rows,
                       .length = op->in_shape.height * op->in_shape.width,
                       .bytes = (size_t)op->in_shape.channels * pl_dtype_bytes(spec->in_type)};
  *needs = (pl_kernel_needs){.backward_reads_skip = spec->training && op->inputs == 2};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_select = {pl_kernel_same_type, select_prepare};
