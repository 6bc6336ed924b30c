/* One position of each row: the first, or that of the largest token id. */
#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct select_kernel {
  pl_kernel head;
  pl_select which;
  size_t rows, length;
  size_t bytes; /* of a position */
} select_kernel;

static const int32_t *ids_of(const select_kernel *k, const pl_kernel_args *args) {
  return k->which == PL_SELECT_FIRST ? NULL : args->skip;
}

static pl_status select_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  select_kernel *k = (select_kernel *)kernel;
  pl_launch_select(pl_cuda_stream(), k->rows, k->length, k->bytes, ids_of(k, args), args->x,
                   args->y);
  return pl_cuda_check("selection", cudaGetLastError());
}

static pl_status select_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  select_kernel *k = (select_kernel *)kernel;
  if (!args->dx) return PL_OK;
  pl_launch_select_gradient(pl_cuda_stream(), k->rows, k->length, k->bytes, ids_of(k, args),
                            args->dy, args->dx);
  return pl_cuda_check("gradient of a selection", cudaGetLastError());
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
                       .length = (size_t)op->in_shape.height * op->in_shape.width,
                       .bytes = (size_t)op->in_shape.channels * pl_dtype_bytes(spec->in_type)};
  *needs = (pl_kernel_needs){.backward_reads_skip = spec->training && op->inputs == 2};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cuda_select = {pl_kernel_same_type, select_prepare};
