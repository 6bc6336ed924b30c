#include "runtime/cpu/onednn_calls.h"

#include "runtime/base/memory.h"

static const char *status_text(dnnl_status_t status) {
  switch (status) {
    case dnnl_out_of_memory: return "out of memory";
    case dnnl_invalid_arguments: return "invalid arguments";
    case dnnl_unimplemented: return "not implemented";
    case dnnl_runtime_error: return "runtime error";
    default: return "failed";
  }
}

pl_status pl_dnn_checked(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "oneDNN: %s: %s", what, status_text(status));
}

dnnl_data_type_t pl_dnn_data_type(pl_dtype type) { return type == PL_BF16 ? dnnl_bf16 : dnnl_f32; }

pl_status pl_dnn_point(dnnl_memory_t memory, const void *data) {
  return pl_dnn_checked(dnnl_memory_set_data_handle(memory, (void *)data), "data handle");
}

pl_status pl_dnn_memory(dnnl_engine_t engine, pl_dnn_const_layout layout, dnnl_memory_t *out) {
  return pl_dnn_checked(dnnl_memory_create(out, layout, engine, DNNL_MEMORY_NONE), "memory");
}

pl_status pl_dnn_attributes(dnnl_primitive_attr_t *out) {
  *out = NULL;
  PL_TRY(pl_dnn_checked(dnnl_primitive_attr_create(out), "attributes"));
  pl_status status =
      pl_dnn_checked(dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user),
                     "scratch memory of the caller");
  if (status != PL_OK) {
    dnnl_primitive_attr_destroy(*out);
    *out = NULL;
  }
  return status;
}

/* Below, where the versions differ. */
static dnnl_status_t append_sum(dnnl_post_ops_t operations);

pl_status pl_dnn_add_to_result(dnnl_primitive_attr_t attributes) {
  dnnl_post_ops_t operations = NULL;
  PL_TRY(pl_dnn_checked(dnnl_post_ops_create(&operations), "accumulation"));
  dnnl_status_t status = append_sum(operations);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attributes, operations);
  dnnl_post_ops_destroy(operations);
  return pl_dnn_checked(status, "accumulation");
}

pl_status pl_dnn_reorder(dnnl_engine_t engine, pl_dnn_const_layout from, pl_dnn_const_layout to,
                         dnnl_primitive_t *out) {
  dnnl_primitive_desc_t desc = NULL;
  *out = NULL;
  PL_TRY(pl_dnn_checked(dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL),
                        "another order"));
  pl_status status = pl_dnn_checked(dnnl_primitive_create(out, desc), "another order");
  dnnl_primitive_desc_destroy(desc);
  return status;
}

/* A convolution's, as oneDNN wants it. */
typedef struct geometry {
  dnnl_dims_t stride, dilation, pad;
} geometry;

static geometry geometry_of(const pl_dnn_windows *w) {
  return (geometry){.stride = {w->stride, w->stride}, .pad = {w->pad, w->pad}};
}

#if DNNL_VERSION_MAJOR == 2

/* ---- version 2: layouts are structs, primitives have a descriptor of the operation ---- */

static dnnl_status_t append_sum(dnnl_post_ops_t operations) {
  return dnnl_post_ops_append_sum(operations, 1.0f);
}

/* `status` tells whether *layout was filled in; a layout that was not goes. */
static pl_status keep(dnnl_status_t status, pl_dnn_layout layout, pl_dnn_layout *out) {
  if (status != dnnl_success) pl_dnn_layout_destroy(&layout);
  *out = layout;
  return pl_dnn_checked(status, "layout");
}

pl_status pl_dnn_layout_of(int count, const dnnl_dims_t dims, pl_dtype type,
                           dnnl_format_tag_t order, pl_dnn_layout *out) {
  *out = NULL;
  pl_dnn_layout made = pl_alloc(1, sizeof *made);
  if (!made) return PL_E_INTERNAL;
  return keep(dnnl_memory_desc_init_by_tag(made, count, dims, pl_dnn_data_type(type), order), made,
              out);
}

pl_status pl_dnn_layout_by_steps(int rows, int cols, int row_step, int col_step, pl_dtype type,
                                 pl_dnn_layout *out) {
  const dnnl_dims_t dims = {rows, cols}, steps = {row_step, col_step};
  *out = NULL;
  pl_dnn_layout made = pl_alloc(1, sizeof *made);
  if (!made) return PL_E_INTERNAL;
  return keep(dnnl_memory_desc_init_by_strides(made, 2, dims, pl_dnn_data_type(type), steps), made,
              out);
}

pl_status pl_dnn_layout_copy(pl_dnn_const_layout from, pl_dnn_layout *out) {
  *out = pl_alloc(1, sizeof **out);
  if (!*out) return PL_E_INTERNAL;
  **out = *from;
  return PL_OK;
}

void pl_dnn_layout_destroy(pl_dnn_layout *layout) {
  pl_free(*layout);
  *layout = NULL;
}

/* The second half of every description. */
static pl_status describe(dnnl_status_t operation_made, const_dnnl_op_desc_t operation,
                          dnnl_engine_t engine, const_dnnl_primitive_attr_t attributes,
                          const_dnnl_primitive_desc_t hint, const char *what,
                          dnnl_primitive_desc_t *out) {
  *out = NULL;
  PL_TRY(pl_dnn_checked(operation_made, what));
  return pl_dnn_checked(dnnl_primitive_desc_create(out, operation, attributes, engine, hint), what);
}

pl_status pl_dnn_describe_product(dnnl_engine_t engine, const pl_dnn_factors *f,
                                  const_dnnl_primitive_attr_t attributes,
                                  dnnl_primitive_desc_t *out) {
  dnnl_matmul_desc_t product;
  dnnl_status_t made = dnnl_matmul_desc_init(&product, f->left, f->right, NULL, f->out);
  return describe(made, &product, engine, attributes, NULL, "matrix product", out);
}

pl_status pl_dnn_describe_dense(dnnl_engine_t engine, const pl_dnn_dense *d,
                                const_dnnl_primitive_attr_t attributes,
                                dnnl_primitive_desc_t *out) {
  dnnl_inner_product_desc_t product;
  dnnl_status_t made = dnnl_inner_product_forward_desc_init(&product, dnnl_forward_training, d->x,
                                                            d->weights, d->bias, d->y);
  return describe(made, &product, engine, attributes, NULL, "linear layer", out);
}

pl_status pl_dnn_describe_convolution(dnnl_engine_t engine, const pl_dnn_windows *w,
                                      const_dnnl_primitive_attr_t attributes,
                                      dnnl_primitive_desc_t *out) {
  const geometry g = geometry_of(w);
  dnnl_convolution_desc_t convolution;
  dnnl_status_t made = dnnl_dilated_convolution_forward_desc_init(
      &convolution, dnnl_forward_training, dnnl_convolution_direct, w->x, w->weights, NULL, w->y,
      g.stride, g.dilation, g.pad, g.pad);
  return describe(made, &convolution, engine, attributes, NULL, "convolution", out);
}

pl_status pl_dnn_describe_dx(dnnl_engine_t engine, const pl_dnn_windows *w,
                             const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *out) {
  const geometry g = geometry_of(w);
  dnnl_convolution_desc_t convolution;
  dnnl_status_t made = dnnl_dilated_convolution_backward_data_desc_init(
      &convolution, dnnl_convolution_direct, w->x, w->weights, w->y, g.stride, g.dilation, g.pad,
      g.pad);
  return describe(made, &convolution, engine, attributes, w->hint, "gradient of images", out);
}

pl_status pl_dnn_describe_dw(dnnl_engine_t engine, const pl_dnn_windows *w,
                             const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *out) {
  const geometry g = geometry_of(w);
  dnnl_convolution_desc_t convolution;
  dnnl_status_t made = dnnl_dilated_convolution_backward_weights_desc_init(
      &convolution, dnnl_convolution_direct, w->x, w->weights, NULL, w->y, g.stride, g.dilation,
      g.pad, g.pad);
  return describe(made, &convolution, engine, attributes, w->hint, "gradient of weights", out);
}

#else

/* ---- version 3 ---- */

static dnnl_status_t append_sum(dnnl_post_ops_t operations) {
  return dnnl_post_ops_append_sum(operations, 1.0f, 0, dnnl_data_type_undef);
}

pl_status pl_dnn_layout_of(int count, const dnnl_dims_t dims, pl_dtype type,
                           dnnl_format_tag_t order, pl_dnn_layout *out) {
  *out = NULL;
  return pl_dnn_checked(
      dnnl_memory_desc_create_with_tag(out, count, dims, pl_dnn_data_type(type), order), "layout");
}

pl_status pl_dnn_layout_by_steps(int rows, int cols, int row_step, int col_step, pl_dtype type,
                                 pl_dnn_layout *out) {
  const dnnl_dims_t dims = {rows, cols}, steps = {row_step, col_step};
  *out = NULL;
  return pl_dnn_checked(
      dnnl_memory_desc_create_with_strides(out, 2, dims, pl_dnn_data_type(type), steps), "layout");
}

pl_status pl_dnn_layout_copy(pl_dnn_const_layout from, pl_dnn_layout *out) {
  *out = NULL;
  return pl_dnn_checked(dnnl_memory_desc_clone(out, from), "layout");
}

void pl_dnn_layout_destroy(pl_dnn_layout *layout) {
  if (*layout) dnnl_memory_desc_destroy(*layout);
  *layout = NULL;
}

pl_status pl_dnn_describe_product(dnnl_engine_t engine, const pl_dnn_factors *f,
                                  const_dnnl_primitive_attr_t attributes,
                                  dnnl_primitive_desc_t *out) {
  *out = NULL;
  return pl_dnn_checked(
      dnnl_matmul_primitive_desc_create(out, engine, f->left, f->right, NULL, f->out, attributes),
      "matrix product");
}

pl_status pl_dnn_describe_dense(dnnl_engine_t engine, const pl_dnn_dense *d,
                                const_dnnl_primitive_attr_t attributes,
                                dnnl_primitive_desc_t *out) {
  *out = NULL;
  return pl_dnn_checked(
      dnnl_inner_product_forward_primitive_desc_create(out, engine, dnnl_forward_training, d->x,
                                                       d->weights, d->bias, d->y, attributes),
      "linear layer");
}

pl_status pl_dnn_describe_convolution(dnnl_engine_t engine, const pl_dnn_windows *w,
                                      const_dnnl_primitive_attr_t attributes,
                                      dnnl_primitive_desc_t *out) {
  const geometry g = geometry_of(w);
  *out = NULL;
  return pl_dnn_checked(dnnl_convolution_forward_primitive_desc_create(
                            out, engine, dnnl_forward_training, dnnl_convolution_direct, w->x,
                            w->weights, NULL, w->y, g.stride, g.dilation, g.pad, g.pad, attributes),
                        "convolution");
}

pl_status pl_dnn_describe_dx(dnnl_engine_t engine, const pl_dnn_windows *w,
                             const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *out) {
  const geometry g = geometry_of(w);
  *out = NULL;
  return pl_dnn_checked(dnnl_convolution_backward_data_primitive_desc_create(
                            out, engine, dnnl_convolution_direct, w->x, w->weights, w->y, g.stride,
                            g.dilation, g.pad, g.pad, w->hint, attributes),
                        "gradient of images");
}

pl_status pl_dnn_describe_dw(dnnl_engine_t engine, const pl_dnn_windows *w,
                             const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *out) {
  const geometry g = geometry_of(w);
  *out = NULL;
  return pl_dnn_checked(dnnl_convolution_backward_weights_primitive_desc_create(
                            out, engine, dnnl_convolution_direct, w->x, w->weights, NULL, w->y,
                            g.stride, g.dilation, g.pad, g.pad, w->hint, attributes),
                        "gradient of weights");
}

#endif
