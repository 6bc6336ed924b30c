/* What makes a sequence of positions: a learned class token in front, where there is one, and a
 * learned vector added at each place. */
#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct positions_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight, bias; /* parameters: of the positions, of the class token or -1 */
  pl_cuda_positions_shape shape;
  /* In the image. */
  const void *place;        /* (length, channels) */
  const float *class_token; /* (channels); NULL without */
} positions_kernel;

static const char *positions_supports(const pl_kernel_spec *spec) {
  if (pl_space_param(spec->space, spec->op->weight)->compute_type != spec->in_type)
    return "positions have the type of their weight";
  return pl_kernel_same_type(spec);
}

static pl_status positions_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  positions_kernel *k = (positions_kernel *)kernel;
  k->place = pl_kernel_param(k->space, k->weight, image);
  k->class_token = k->bias >= 0 ? pl_kernel_param(k->space, k->bias, image) : NULL;
  return PL_OK;
}

static pl_status positions_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  positions_kernel *k = (positions_kernel *)kernel;
  pl_launch_positions(pl_cuda_stream(), &k->shape, args->x, k->place, k->class_token, args->y);
  return pl_cuda_check("positions", cudaGetLastError());
}

static pl_status positions_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  positions_kernel *k = (positions_kernel *)kernel;
  pl_launch_positions_gradient(pl_cuda_stream(), &k->shape, args->dy, args->scratch, args->dweight,
                               args->dbias, args->dx);
  return pl_cuda_check("gradient of positions", cudaGetLastError());
}

static const pl_kernel_class positions_class = {.destroy = pl_kernel_free,
                                                .load = positions_load,
                                                .forward = positions_forward,
                                                .backward = positions_backward};

static void fill_needs(const positions_kernel *k, bool training, pl_kernel_needs *needs) {
  size_t width = k->shape.length * k->shape.channels;
  *needs = (pl_kernel_needs){0};
  if (training)
    needs->scratch_bytes = pl_launch_column_chunks(k->shape.rows, width) * width * sizeof(double);
}

static pl_status positions_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                   pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  positions_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (positions_kernel){.head = {&positions_class},
                          .space = spec->space,
                          .weight = op->weight,
                          .bias = op->bias,
                          .shape = {.type = spec->in_type,
                                    .rows = spec->rows,
                                    .length = op->out_shape.height,
                                    .channels = op->out_shape.channels,
                                    .first = op->bias >= 0 ? 1 : 0}};
  fill_needs(k, spec->training, needs);
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cuda_positions = {positions_supports, positions_prepare};
