#include "runtime/cuda/dnn_convolution.h"

enum { X = 'x', WEIGHTS = 'w', Y = 'y' }; /* the tensors' ids */

/* What arrays are sure to be aligned to, in bytes, and what engines read at a time. */
enum { ARRAY_ALIGNMENT = 16 };

const char *pl_direction_name(pl_direction direction) {
  static const char *const names[] = {"the forward pass", "the gradient of the input",
                                      "the gradient of the weights"};
  return names[direction];
}

bool pl_direction_is_wanted(const pl_convolution_spec *spec, pl_direction direction) {
  if (direction == PL_DIRECTION_DATA) return spec->backward_data;
  return direction == PL_DIRECTION_FORWARD || spec->backward_weights;
}

/* Workspace for a copy of all that is read and written: some engines, the fast ones of f32 among
 * them, want it in another order, and images with more channels. Scratch is shared by all kernels,
 * so that beside the activations that a network keeps it is little. */
pl_dnn_rule pl_dnn_convolution_rule(const pl_convolution_spec *spec) {
  const size_t least = 64 << 20, alignments = 1 << 20;
  size_t side = (size_t)spec->window.kernel, rows = (size_t)spec->rows;
  size_t elements = rows * (size_t)pl_shape_elements(spec->in) +
                    rows * (size_t)pl_shape_elements(spec->out) +
                    side * side * (size_t)spec->in.channels * (size_t)spec->out.channels;
  size_t copies = elements * pl_dtype_bytes(spec->type) + alignments;
  return (pl_dnn_rule){.tensor_cores = spec->type == PL_BF16 || spec->tf32,
                       .most_workspace = copies > least ? copies : least};
}

/* ---- describing ---- */

typedef struct description {
  cudnnBackendDescriptor_t x, weights, y, convolution;
} description;

/* cuDNN names dimensions as (count, channels, height, width), whatever their order in memory. */
static pl_status describe_tensor(pl_dnn_descriptors *owner, int64_t id, pl_dtype type,
                                 int64_t count, pl_shape shape, cudnnBackendDescriptor_t *out) {
  const cudnnDataType_t data_type = type == PL_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  const int64_t channels = shape.channels, width = shape.width, height = shape.height;
  const int64_t dimensions[] = {count, channels, height, width};
  const int64_t strides[] = {height * width * channels, 1, width * channels, channels};
  const int64_t alignment = ARRAY_ALIGNMENT;
  const pl_dnn_attribute attributes[] = {
      {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id},
      {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &data_type},
      {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dimensions},
      {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides},
      {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment}};
  return pl_dnn_describe(owner, "describing a tensor", CUDNN_BACKEND_TENSOR_DESCRIPTOR, attributes,
                         sizeof attributes / sizeof *attributes, out);
}

static pl_status describe_window(pl_dnn_descriptors *owner, pl_window window,
                                 cudnnBackendDescriptor_t *out) {
  const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const int64_t dimensions = 2, dilations[] = {1, 1};
  const int64_t pads[] = {window.pad, window.pad}, strides[] = {window.stride, window.stride};
  const pl_dnn_attribute attributes[] = {
      {CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums},
      {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode},
      {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dimensions},
      {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pads},
      {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pads},
      {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides},
      {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilations}};
  return pl_dnn_describe(owner, "describing a convolution", CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR,
                         attributes, sizeof attributes / sizeof *attributes, out);
}

static pl_status describe(pl_dnn_descriptors *owner, const pl_convolution_spec *s,
                          description *out) {
  int side = s->window.kernel;
  pl_shape filter = {.height = side, .width = side, .channels = s->in.channels};
  PL_TRY(describe_tensor(owner, X, s->type, s->rows, s->in, &out->x));
  PL_TRY(describe_tensor(owner, WEIGHTS, s->type, s->out.channels, filter, &out->weights));
  PL_TRY(describe_tensor(owner, Y, s->type, s->rows, s->out, &out->y));
  return describe_window(owner, s->window, &out->convolution);
}

/* How cuDNN names a direction's operation and its parts. */
typedef struct operation_names {
  cudnnBackendDescriptorType_t operation;
  cudnnBackendAttributeName_t alpha, beta, convolution, x, weights, y;
} operation_names;

static const operation_names names_of[PL_DIRECTIONS] = {
    [PL_DIRECTION_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
    [PL_DIRECTION_DATA] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                           CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
    [PL_DIRECTION_WEIGHTS] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY}};

static pl_status describe_operation(pl_dnn_descriptors *owner, const description *d,
                                    pl_direction direction, cudnnBackendDescriptor_t *out) {
  const operation_names *n = &names_of[direction];
  const float one = 1, zero = 0;
  const pl_dnn_attribute attributes[] = {
      {n->alpha, CUDNN_TYPE_FLOAT, 1, &one},
      {n->beta, CUDNN_TYPE_FLOAT, 1, &zero},
      {n->convolution, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d->convolution},
      {n->x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d->x},
      {n->weights, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d->weights},
      {n->y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d->y}};
  return pl_dnn_describe(owner, "describing a convolution", n->operation, attributes,
                         sizeof attributes / sizeof *attributes, out);
}

/* ---- planning and running ---- */

pl_status pl_dnn_convolution_plan(const pl_dnn_device *device, const pl_convolution_spec *spec,
                                  pl_dnn_descriptors *owner, pl_dnn_plan plans[PL_DIRECTIONS],
                                  pl_direction *missing) {
  description parts;
  pl_dnn_rule rule = pl_dnn_convolution_rule(spec);
  *missing = PL_DIRECTIONS;
  PL_TRY(describe(owner, spec, &parts));
  for (int i = 0; i < PL_DIRECTIONS && *missing == PL_DIRECTIONS; i++) {
    cudnnBackendDescriptor_t operation;
    if (!pl_direction_is_wanted(spec, (pl_direction)i)) continue;
    PL_TRY(describe_operation(owner, &parts, (pl_direction)i, &operation));
    PL_TRY(pl_dnn_plan_create(device, operation, &rule, owner, &plans[i]));
    if (!plans[i].descriptor) *missing = (pl_direction)i;
  }
  return PL_OK;
}

pl_status pl_dnn_convolution_run(const pl_dnn_device *device, const pl_dnn_plan *plan,
                                 const void *x, const void *weights, const void *y,
                                 void *workspace) {
  const int64_t ids[] = {X, WEIGHTS, Y};
  const void *const pointers[] = {x, weights, y};
  return pl_dnn_plan_run(device, plan, 3, ids, pointers, workspace);
}
