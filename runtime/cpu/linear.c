/* Linear layer, over one line per row, or per row and position. Each direction is what oneDNN 2.6
 * does fastest: forward its inner product, the gradient of x a 1×1 convolution's, that of the
 * weights a plain product, which also writes it in the master layout. */
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/cpu/cpu.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"
#include "runtime/cpu/onednn.h"
#include "runtime/cpu/onednn_linear.h"
#include "runtime/cpu/onednn_product.h"

enum { BIAS_BLOCK = 64 };

typedef struct linear_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight, bias;           /* parameters; bias -1 where there is none */
  int lines, inner, features; /* x is (lines, inner), y (lines, features) */
  bool transposed;            /* the weight is (inner, features), not (features, inner) */
  pl_dtype in_type, out_type;
  size_t narrow_bytes; /* of dy converted to in_type; 0 where it has that type */
  const float *bias_values;
  pl_dnn_linear *forward;
  pl_dnn_conv *backward_data;
  pl_dnn_product *backward_weights;
} linear_kernel;

static const char *linear_supports(const pl_kernel_spec *spec) {
  bool floats = (spec->in_type == PL_F32 || spec->in_type == PL_BF16) &&
                (spec->out_type == PL_F32 || spec->out_type == PL_BF16);
  if (!floats) return "linear needs f32 or bf16";
  if (spec->in_type == PL_F32 && spec->out_type == PL_BF16)
    return "linear does not narrow f32 to bf16";
  if (spec->in_type == PL_BF16 && !pl_cpu_has_bf16())
    return "this processor does not multiply bf16";
  return NULL;
}

static void linear_destroy(pl_kernel *kernel) {
  linear_kernel *k = (linear_kernel *)kernel;
  pl_dnn_linear_destroy(&k->forward);
  pl_dnn_conv_destroy(&k->backward_data);
  pl_dnn_product_destroy(&k->backward_weights);
  pl_free(k);
}

static pl_status linear_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  linear_kernel *k = (linear_kernel *)kernel;
  const void *weights = pl_kernel_param(k->space, k->weight, image);
  if (k->bias >= 0) k->bias_values = pl_kernel_param(k->space, k->bias, image);
  PL_TRY(pl_dnn_linear_load(k->forward, weights));
  return k->backward_data ? pl_dnn_conv_load(k->backward_data, weights) : PL_OK;
}

static pl_status linear_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  linear_kernel *k = (linear_kernel *)kernel;
  return pl_dnn_linear_run(k->forward, args->x, k->bias_values, args->y, args->scratch);
}

/* Features [first, first + width) of the bias' gradient: sums over lines of dy, in their order. */
PL_INLINE void bias_block(pl_dtype type, const linear_kernel *k, const void *dy, int first,
                          int width, float *dbias) {
  double sum[BIAS_BLOCK] = {0};
  for (int i = 0; i < k->lines; i++) {
    const void *line = pl_at(type, dy, (size_t)i * k->features + first);
#pragma omp simd
    for (int c = 0; c < width; c++) sum[c] += (double)pl_get(type, line, c);
  }
  for (int c = 0; c < width; c++) dbias[first + c] = (float)sum[c];
}

static void bias_gradient(const linear_kernel *k, const void *dy, float *dbias) {
#pragma omp parallel for schedule(static)
  for (int first = 0; first < k->features; first += BIAS_BLOCK) {
    int left = k->features - first, width = left < BIAS_BLOCK ? left : BIAS_BLOCK;
    if (k->out_type == PL_F32)
      bias_block(PL_F32, k, dy, first, width, dbias);
    else if (width == BIAS_BLOCK)
      bias_block(PL_BF16, k, dy, first, BIAS_BLOCK, dbias);
    else
      bias_block(PL_BF16, k, dy, first, width, dbias);
  }
}

static pl_status linear_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  linear_kernel *k = (linear_kernel *)kernel;
  const void *dy = args->dy;
  void *inner = (char *)args->scratch + pl_align_up(k->narrow_bytes);
  if (k->narrow_bytes) {
    pl_convert_f32_to_bf16(args->scratch, args->dy, (size_t)k->lines * k->features);
    dy = args->scratch;
  }
  if (k->bias >= 0) bias_gradient(k, args->dy, args->dbias);
  const void *left = k->transposed ? args->x : dy, *right = k->transposed ? dy : args->x;
  PL_TRY(pl_dnn_product_run(k->backward_weights, 0, left, right, args->dweight, inner));
  if (!k->backward_data) return PL_OK;
  return pl_dnn_conv_backward_data(k->backward_data, dy, args->dx, inner);
}

static const pl_kernel_class linear_class = {.destroy = linear_destroy,
                                             .load = linear_load,
                                             .forward = linear_forward,
                                             .backward = linear_backward};

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static void fill_needs(const linear_kernel *k, pl_kernel_needs *needs) {
  size_t scratch = 0;
  if (k->backward_data) scratch = larger(scratch, pl_dnn_conv_scratch_bytes(k->backward_data));
  if (k->backward_weights)
    scratch = larger(scratch, pl_dnn_product_scratch_bytes(k->backward_weights));
  scratch = larger(scratch + pl_align_up(k->narrow_bytes), pl_dnn_linear_scratch_bytes(k->forward));
  *needs = (pl_kernel_needs){.scratch_bytes = scratch, .backward_reads_x = true};
}

/* dW = dyᵀ x, or xᵀ dy where the weight is (inner, features). */
static pl_status make_backward_weights(linear_kernel *k) {
  pl_dnn_product_spec spec = {.count = 1,
                              .rows = k->transposed ? k->inner : k->features,
                              .inner = k->lines,
                              .cols = k->transposed ? k->features : k->inner,
                              .left_transposed = true,
                              .type = k->in_type,
                              .out_type = PL_F32,
                              .slots = 1,
                              .threads = pl_threads_count()};
  return pl_dnn_product_create(&spec, &k->backward_weights);
}

static pl_status make_backward_data(linear_kernel *k) {
  pl_dnn_conv_spec spec = {.rows = 1,
                           .in = {1, k->lines, k->inner},
                           .out = {1, k->lines, k->features},
                           .window = {.kernel = 1, .stride = 1},
                           .type = k->in_type,
                           .transposed = k->transposed};
  return pl_dnn_conv_create(&spec, PL_DNN_BACKWARD_DATA, &k->backward_data);
}

static pl_status make_directions(const pl_kernel_spec *spec, linear_kernel *k) {
  pl_dnn_linear_spec forward = {.lines = k->lines,
                                .inner = k->inner,
                                .features = k->features,
                                .transposed = k->transposed,
                                .bias = k->bias >= 0,
                                .type = k->in_type,
                                .out_type = k->out_type};
  PL_TRY(pl_dnn_linear_create(&forward, &k->forward));
  if (!spec->training) return PL_OK;
  PL_TRY(make_backward_weights(k));
  return spec->need_dx ? make_backward_data(k) : PL_OK;
}

static pl_status linear_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  linear_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  int64_t row = pl_shape_elements(op->in_shape);
  int inner = op->each ? op->in_shape.channels : (int)row;
  *k = (linear_kernel){.head = {&linear_class},
                       .space = spec->space,
                       .weight = op->weight,
                       .bias = op->bias,
                       .lines = spec->rows * (int)(row / inner),
                       .inner = inner,
                       .features = op->out_shape.channels,
                       .transposed = op->transposed,
                       .in_type = spec->in_type,
                       .out_type = spec->out_type};
  if (spec->training && spec->in_type != spec->out_type)
    k->narrow_bytes = (size_t)k->lines * k->features * pl_dtype_bytes(spec->in_type);
  pl_status status = make_directions(spec, k);
  if (status != PL_OK) {
    linear_destroy(&k->head);
    return status;
  }
  fill_needs(k, needs);
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_linear = {linear_supports, linear_prepare};
