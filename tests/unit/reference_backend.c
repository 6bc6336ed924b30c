#include "tests/unit/reference_backend.h"

#include <math.h>

#include "runtime/base/memory.h"
#include "tests/unit/reference_kernel.h"

static const char *supports(const pl_kernel_spec *spec) {
  (void)spec;
  return NULL;
}

static size_t saved_bytes(const pl_kernel_spec *spec) {
  const pl_op *op = spec->op;
  if (!spec->training) return 0;
  if (op->kind == PL_OP_BATCH_NORM) return 2 * (size_t)op->in_shape.channels * sizeof(double);
  if (op->kind == PL_OP_MAX_POOL) {
    return (size_t)spec->rows * (size_t)pl_shape_elements(op->out_shape) * sizeof(uint64_t);
  }
  return 0;
}

/* Rows of a linear layer's product. */
static size_t lines(const pl_kernel_spec *spec) {
  pl_shape in = spec->op->in_shape;
  return (size_t)spec->rows * (spec->op->each ? (size_t)in.height * (size_t)in.width : 1);
}

static size_t features_in(const pl_kernel_spec *spec) {
  pl_shape in = spec->op->in_shape;
  return spec->op->each ? (size_t)in.channels : (size_t)pl_shape_elements(in);
}

static size_t weight_at(const pl_op *op, size_t in, size_t o, size_t i) {
  return op->transposed ? i * (size_t)op->out_shape.channels + o : o * in + i;
}

static bool reads_x(pl_op_kind kind) {
  return kind == PL_OP_BATCH_NORM || kind == PL_OP_CONV || kind == PL_OP_LINEAR ||
         kind == PL_OP_L2_NORMALIZE || kind == PL_OP_EMBEDDING || kind == PL_OP_LAYER_NORM ||
         kind == PL_OP_GELU || kind == PL_OP_ATTENTION;
}

static pl_status prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  pl_kernel *kernel = pl_alloc(1, sizeof *kernel);
  if (!kernel) return PL_E_INTERNAL;
  kernel->spec = *spec;
  const pl_op *op = spec->op;
  bool norm = op->kind == PL_OP_BATCH_NORM;
  *needs = (pl_kernel_needs){
      .saved_bytes = saved_bytes(spec),
      .backward_reads_x = reads_x(op->kind),
      .backward_reads_skip = op->kind == PL_OP_SELECT && op->inputs == 2,
      .backward_reads_y = op->kind == PL_OP_RELU || op->fused_relu,
      .phase_sums = norm && spec->training ? 2 * (size_t)op->in_shape.channels : 0};
  *out = kernel;
  return PL_OK;
}

static void destroy(pl_kernel **kernel) {
  pl_free(*kernel);
  *kernel = NULL;
}

static pl_status load(pl_kernel *k, const void *image, const float *buffers) {
  const pl_op *op = k->spec.op;
  const pl_space *space = k->spec.space;
  if (op->weight >= 0) {
    const pl_param *weight = pl_space_param(space, op->weight);
    k->weight = (const char *)image + weight->image_offset;
    k->weight_type = weight->compute_type;
  }
  if (op->bias >= 0) {
    const pl_param *bias = pl_space_param(space, op->bias);
    k->bias = (const float *)(const void *)((const char *)image + bias->image_offset);
  }
  if (op->running_mean >= 0) {
    k->running_mean = buffers + pl_space_buffer(space, op->running_mean)->offset;
    k->running_var = buffers + pl_space_buffer(space, op->running_var)->offset;
  }
  return PL_OK;
}

static void relu_forward(const pl_kernel *k, const pl_kernel_args *a) {
  for (size_t i = 0; i < (size_t)k->spec.rows * pl_in_elements(k); i++) {
    double x = pl_get_x(k, a, i);
    pl_put(k->spec.out_type, a->y, i, x > 0 ? x : 0);
  }
}

static void relu_backward(const pl_kernel *k, const pl_kernel_args *a) {
  for (size_t i = 0; i < (size_t)k->spec.rows * pl_in_elements(k); i++) {
    bool passes = pl_get(k->spec.out_type, a->y, i) > 0;
    pl_put(k->spec.in_type, a->dx, i, passes ? pl_get_dy(k, a, i) : 0);
  }
}

static void add_forward(const pl_kernel *k, const pl_kernel_args *a) {
  for (size_t i = 0; i < (size_t)k->spec.rows * pl_in_elements(k); i++) {
    pl_put(k->spec.out_type, a->y, i, pl_get_x(k, a, i) + pl_get(k->spec.in_type, a->skip, i));
  }
}

static void add_backward(const pl_kernel *k, const pl_kernel_args *a) {
  for (size_t i = 0; i < (size_t)k->spec.rows * pl_in_elements(k); i++) {
    if (a->dx) pl_put(k->spec.in_type, a->dx, i, pl_get_dy(k, a, i));
    if (a->dskip) pl_put(k->spec.in_type, a->dskip, i, pl_get_dy(k, a, i));
  }
}

static void linear_forward(const pl_kernel *k, const pl_kernel_args *a) {
  const pl_op *op = k->spec.op;
  size_t in = features_in(&k->spec);
  size_t out = (size_t)op->out_shape.channels;
  for (size_t row = 0; row < lines(&k->spec); row++) {
    for (size_t o = 0; o < out; o++) {
      double sum = k->bias ? (double)k->bias[o] : 0;
      for (size_t i = 0; i < in; i++) {
        sum += pl_get_x(k, a, row * in + i) * pl_get_weight(k, weight_at(op, in, o, i));
      }
      pl_put(k->spec.out_type, a->y, row * out + o, sum);
    }
  }
}

static void linear_backward(const pl_kernel *k, const pl_kernel_args *a) {
  const pl_op *op = k->spec.op;
  size_t in = features_in(&k->spec);
  size_t out = (size_t)op->out_shape.channels;
  size_t rows = lines(&k->spec);
  for (size_t o = 0; o < out; o++) {
    double bias = 0;
    for (size_t row = 0; row < rows; row++) bias += pl_get_dy(k, a, row * out + o);
    if (k->bias) a->dbias[o] = (float)bias;
    for (size_t i = 0; i < in; i++) {
      double sum = 0;
      for (size_t row = 0; row < rows; row++) {
        sum += pl_get_dy(k, a, row * out + o) * pl_get_x(k, a, row * in + i);
      }
      a->dweight[weight_at(op, in, o, i)] = (float)sum;
    }
  }
  for (size_t row = 0; k->spec.need_dx && row < rows; row++) {
    for (size_t i = 0; i < in; i++) {
      double sum = 0;
      for (size_t o = 0; o < out; o++) {
        sum += pl_get_dy(k, a, row * out + o) * pl_get_weight(k, weight_at(op, in, o, i));
      }
      pl_put(k->spec.in_type, a->dx, row * in + i, sum);
    }
  }
}

static double row_norm(const pl_kernel *k, const pl_kernel_args *a, size_t row) {
  size_t n = pl_in_elements(k);
  double squares = 0;
  for (size_t i = row * n; i < (row + 1) * n; i++) {
    squares += pl_get_x(k, a, i) * pl_get_x(k, a, i);
  }
  return sqrt(squares);
}

static void normalize_forward(const pl_kernel *k, const pl_kernel_args *a) {
  size_t n = pl_in_elements(k);
  for (size_t row = 0; row < (size_t)k->spec.rows; row++) {
    double length = fmax(row_norm(k, a, row), (double)k->spec.op->epsilon);
    for (size_t i = row * n; i < (row + 1) * n; i++) {
      pl_put(k->spec.out_type, a->y, i, pl_get_x(k, a, i) / length);
    }
  }
}

static void normalize_backward(const pl_kernel *k, const pl_kernel_args *a) {
  size_t n = pl_in_elements(k);
  double epsilon = (double)k->spec.op->epsilon;
  for (size_t row = 0; row < (size_t)k->spec.rows; row++) {
    double norm = row_norm(k, a, row);
    double length = fmax(norm, epsilon);
    double along = 0; /* dy · y; rows shorter than epsilon are only scaled */
    for (size_t i = row * n; norm > epsilon && i < (row + 1) * n; i++) {
      along += pl_get_dy(k, a, i) * pl_get_x(k, a, i) / length;
    }
    for (size_t i = row * n; i < (row + 1) * n; i++) {
      double dx = (pl_get_dy(k, a, i) - along * pl_get_x(k, a, i) / length) / length;
      pl_put(k->spec.in_type, a->dx, i, dx);
    }
  }
}

static pl_status forward(pl_kernel *k, const pl_kernel_args *a) {
  switch (k->spec.op->kind) {
    case PL_OP_CONV: pl_reference_conv_forward(k, a); break;
    case PL_OP_BATCH_NORM: pl_reference_norm_infer(k, a); break;
    case PL_OP_RELU: relu_forward(k, a); break;
    case PL_OP_ADD: add_forward(k, a); break;
    case PL_OP_MAX_POOL: pl_reference_max_pool_forward(k, a); break;
    case PL_OP_AVG_POOL: pl_reference_avg_pool_forward(k, a); break;
    case PL_OP_LINEAR: linear_forward(k, a); break;
    case PL_OP_L2_NORMALIZE: normalize_forward(k, a); break;
    case PL_OP_EMBEDDING: pl_reference_embedding_forward(k, a); break;
    case PL_OP_POSITIONS: pl_reference_positions_forward(k, a); break;
    case PL_OP_LAYER_NORM: pl_reference_layer_norm_forward(k, a); break;
    case PL_OP_GELU: pl_reference_gelu_forward(k, a); break;
    case PL_OP_ATTENTION: return pl_reference_attention(k, a, true);
    case PL_OP_SELECT: pl_reference_select_forward(k, a); break;
    case PL_OP_DROPOUT: pl_reference_dropout(k, a, a->x, a->y); break;
    case PL_OP_INPUT:
    case PL_OP_TOKENS: return PL_FAIL(PL_E_INTERNAL, "the input is not computed");
  }
  return PL_OK;
}

static pl_status backward(pl_kernel *k, const pl_kernel_args *a) {
  switch (k->spec.op->kind) {
    case PL_OP_CONV: pl_reference_conv_backward(k, a); break;
    case PL_OP_RELU: relu_backward(k, a); break;
    case PL_OP_ADD: add_backward(k, a); break;
    case PL_OP_MAX_POOL: pl_reference_max_pool_backward(k, a); break;
    case PL_OP_AVG_POOL: pl_reference_avg_pool_backward(k, a); break;
    case PL_OP_LINEAR: linear_backward(k, a); break;
    case PL_OP_L2_NORMALIZE: normalize_backward(k, a); break;
    case PL_OP_EMBEDDING: pl_reference_embedding_backward(k, a); break;
    case PL_OP_POSITIONS: pl_reference_positions_backward(k, a); break;
    case PL_OP_LAYER_NORM: pl_reference_layer_norm_backward(k, a); break;
    case PL_OP_GELU: pl_reference_gelu_backward(k, a); break;
    case PL_OP_ATTENTION: return pl_reference_attention(k, a, false);
    case PL_OP_SELECT: pl_reference_select_backward(k, a); break;
    case PL_OP_DROPOUT: pl_reference_dropout(k, a, a->dy, a->dx); break;
    case PL_OP_BATCH_NORM:
    case PL_OP_INPUT:
    case PL_OP_TOKENS: return PL_FAIL(PL_E_INTERNAL, "no one-phase backward");
  }
  return PL_OK;
}

static pl_status forward_sums(pl_kernel *k, const pl_kernel_args *a, double *sums) {
  pl_reference_norm_forward_sums(k, a, sums);
  return PL_OK;
}
static pl_status forward_apply(pl_kernel *k, const pl_kernel_args *a, const double *totals,
                               double count) {
  pl_reference_norm_forward_apply(k, a, totals, count);
  return PL_OK;
}
static pl_status backward_sums(pl_kernel *k, const pl_kernel_args *a, double *sums) {
  pl_reference_norm_backward_sums(k, a, sums);
  return PL_OK;
}
static pl_status backward_apply(pl_kernel *k, const pl_kernel_args *a, const double *totals,
                                double count) {
  pl_reference_norm_backward_apply(k, a, totals, count);
  return PL_OK;
}

static pl_status moments(double *statistic, const double *totals, size_t channels, double count) {
  for (size_t c = 0; c < channels; c++) {
    double mean = totals[c] / count, variance = totals[channels + c] / count - mean * mean;
    statistic[c] = mean;
    statistic[channels + c] = (variance > 0 ? variance : 0) * (count > 1 ? count / (count - 1) : 1);
  }
  return PL_OK;
}

static pl_status add(pl_dtype type, void *to, const void *a, const void *b, size_t n) {
  for (size_t i = 0; i < n; i++) pl_put(type, to, i, pl_get(type, a, i) + pl_get(type, b, i));
  return PL_OK;
}

static pl_status convert(pl_dtype to_type, void *to, pl_dtype from_type, const void *from,
                         size_t n) {
  for (size_t i = 0; i < n; i++) pl_put(to_type, to, i, pl_get(from_type, from, i));
  return PL_OK;
}

const pl_backend *pl_reference_backend(void) {
  static const pl_backend backend = {.name = "reference",
                                     .device = &pl_host_device,
                                     .supports = supports,
                                     .prepare = prepare,
                                     .destroy = destroy,
                                     .load = load,
                                     .forward = forward,
                                     .backward = backward,
                                     .forward_sums = forward_sums,
                                     .forward_apply = forward_apply,
                                     .backward_sums = backward_sums,
                                     .backward_apply = backward_apply,
                                     .moments = moments,
                                     .add = add,
                                     .convert = convert};
  return &backend;
}
