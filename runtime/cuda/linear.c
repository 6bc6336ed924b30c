/* Linear layer, over one line per row, or per row and position. */
#include "runtime/base/memory.h"
#include "runtime/cuda/dense.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct linear_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight, bias; /* parameters; bias -1 where there is none */
  pl_dtype in_type, out_type;
  pl_device_values narrow_bias; /* in out_type, as cuBLASLt wants it; nothing where that is f32 */
  pl_dense dense;
  size_t narrow_bytes, sums_bytes; /* of scratch: dy in in_type, sums of dy */
} linear_kernel;

static const char *linear_supports(const pl_kernel_spec *spec) {
  bool floats = (spec->in_type == PL_F32 || spec->in_type == PL_BF16) &&
                (spec->out_type == PL_F32 || spec->out_type == PL_BF16);
  if (!floats) return "linear needs f32 or bf16";
  if (spec->in_type == PL_F32 && spec->out_type == PL_BF16)
    return "linear does not narrow f32 to bf16";
  return NULL;
}

static void linear_destroy(pl_kernel *kernel) {
  linear_kernel *k = (linear_kernel *)kernel;
  pl_dense_free(&k->dense);
  pl_device_values_free(&k->narrow_bias);
  pl_free(k);
}

static pl_status linear_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  linear_kernel *k = (linear_kernel *)kernel;
  const void *weight = pl_kernel_param(k->space, k->weight, image);
  const void *bias = k->bias >= 0 ? pl_kernel_param(k->space, k->bias, image) : NULL;
  if (k->narrow_bias.array) {
    pl_launch_convert(pl_cuda_stream(), k->out_type, k->narrow_bias.array, PL_F32, bias,
                      (size_t)k->dense.spec.features);
    PL_TRY(pl_cuda_check("a bias", cudaGetLastError()));
    bias = k->narrow_bias.array;
  }
  return pl_dense_load(&k->dense, weight, bias);
}

static pl_status linear_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  linear_kernel *k = (linear_kernel *)kernel;
  return pl_dense_forward(&k->dense, args->x, args->y, args->scratch);
}

static pl_status linear_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  linear_kernel *k = (linear_kernel *)kernel;
  size_t lines = (size_t)k->dense.spec.lines, features = (size_t)k->dense.spec.features;
  char *sums = (char *)args->scratch + pl_align_up(k->narrow_bytes);
  char *inner = sums + pl_align_up(k->sums_bytes);
  const void *dy = args->dy;
  if (k->narrow_bytes) {
    pl_launch_convert(pl_cuda_stream(), k->in_type, args->scratch, k->out_type, dy,
                      lines * features);
    dy = args->scratch;
  }
  if (k->bias >= 0)
    pl_launch_column_sums(pl_cuda_stream(), k->out_type, args->dbias, args->dy, lines, features,
                          (double *)(void *)sums);
  PL_TRY(pl_cuda_check("gradient of a bias", cudaGetLastError()));
  PL_TRY(pl_dense_backward_weight(&k->dense, args->x, dy, false, args->dweight, inner));
  return pl_dense_backward_data(&k->dense, dy, args->add_dx, args->dx, inner);
}

static const pl_kernel_class linear_class = {.destroy = linear_destroy,
                                             .load = linear_load,
                                             .forward = linear_forward,
                                             .backward = linear_backward};

static pl_status make_room(linear_kernel *k) {
  if (k->bias < 0 || k->out_type == PL_F32) return PL_OK;
  size_t count = (size_t)pl_space_param(k->space, k->bias)->count;
  return pl_device_values_create(count * pl_dtype_bytes(k->out_type), &k->narrow_bias);
}

static pl_status make_products(const pl_kernel_spec *spec, linear_kernel *k) {
  const pl_op *op = spec->op;
  int64_t row = pl_shape_elements(op->in_shape);
  int inner = op->each ? op->in_shape.channels : (int)row;
  pl_dense_spec dense = {.lines = spec->rows * (int)(row / inner),
                         .inner = inner,
                         .features = op->out_shape.channels,
                         .transposed = op->transposed,
                         .backward = spec->training,
                         .need_dx = spec->need_dx,
                         .type = spec->in_type,
                         .out_type = spec->out_type,
                         .bias = k->bias >= 0};
  return pl_dense_create(&dense, &k->dense);
}

static void fill_needs(const pl_kernel_spec *spec, linear_kernel *k, pl_kernel_needs *needs) {
  size_t lines = (size_t)k->dense.spec.lines, features = (size_t)k->dense.spec.features;
  if (spec->training && k->in_type != k->out_type)
    k->narrow_bytes = lines * features * pl_dtype_bytes(k->in_type);
  if (spec->training && k->bias >= 0)
    k->sums_bytes = pl_launch_column_chunks(lines, features) * features * sizeof(double);
  *needs =
      (pl_kernel_needs){.scratch_bytes = pl_align_up(k->narrow_bytes) + pl_align_up(k->sums_bytes) +
                                         pl_dense_scratch_bytes(&k->dense),
                        .backward_reads_x = true,
                        .backward_adds_dx = true};
}

static pl_status linear_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                pl_kernel_needs *needs) {
  pl_status status;
  linear_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (linear_kernel){.head = {&linear_class},
                       .space = spec->space,
                       .weight = spec->op->weight,
                       .bias = spec->op->bias,
                       .in_type = spec->in_type,
                       .out_type = spec->out_type};
  PL_TRY_OR(failed, status, make_room(k));
  PL_TRY_OR(failed, status, make_products(spec, k));
  fill_needs(spec, k, needs);
  *out = &k->head;
  return PL_OK;
failed:
  linear_destroy(&k->head);
  return status;
}

const pl_kernel_maker pl_cuda_linear = {linear_supports, linear_prepare};
