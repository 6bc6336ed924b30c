/* What the files that call oneDNN share: versions 2 and 3 of it behind the same calls. A layout is
 * a handle, as version 3 has them; calls that both versions have take it as it is.
 *
 * Functions that make something leave NULL where they fail (PL_E_INTERNAL, with what oneDNN said of
 * `what`); what they make is the caller's, as are the engine and the attributes. Not collective. */
#ifndef PL_CPU_ONEDNN_CALLS_H
#define PL_CPU_ONEDNN_CALLS_H

#include <dnnl.h>

#include "runtime/base/status.h"
#include "runtime/tensor/dtype.h"

#if DNNL_VERSION_MAJOR == 2
typedef dnnl_memory_desc_t *pl_dnn_layout;
typedef const dnnl_memory_desc_t *pl_dnn_const_layout;
#elif DNNL_VERSION_MAJOR == 3
typedef dnnl_memory_desc_t pl_dnn_layout;
typedef const_dnnl_memory_desc_t pl_dnn_const_layout;
#else
#error "written for oneDNN 2 and 3"
#endif

/* Turns a oneDNN status into ours. */
pl_status pl_dnn_checked(dnnl_status_t status, const char *what);

dnnl_data_type_t pl_dnn_data_type(pl_dtype type);

/* oneDNN's handles are not const; its primitives only read from sources. */
pl_status pl_dnn_point(dnnl_memory_t memory, const void *data);

/* ---- layouts ---- */

/* dims: (count) elements; dnnl_format_tag_any leaves the order to oneDNN. */
pl_status pl_dnn_layout_of(int count, const dnnl_dims_t dims, pl_dtype type,
                           dnnl_format_tag_t order, pl_dnn_layout *out);

/* A matrix whose element (i, j) lies at i * row_step + j * col_step. */
pl_status pl_dnn_layout_by_steps(int rows, int cols, int row_step, int col_step, pl_dtype type,
                                 pl_dnn_layout *out);
pl_status pl_dnn_layout_copy(pl_dnn_const_layout from, pl_dnn_layout *out);
void pl_dnn_layout_destroy(pl_dnn_layout *layout); /* NULL is allowed */

/* Memory that is pointed elsewhere before each use. */
pl_status pl_dnn_memory(dnnl_engine_t engine, pl_dnn_const_layout layout, dnnl_memory_t *out);

/* ---- primitives ---- */

/* Scratch memory is handed in by the caller: oneDNN's own would be shared between threads. */
pl_status pl_dnn_attributes(dnnl_primitive_attr_t *out);

/* With these attributes a result is added to what was there. */
pl_status pl_dnn_add_to_result(dnnl_primitive_attr_t attributes);

pl_status pl_dnn_reorder(dnnl_engine_t engine, pl_dnn_const_layout from, pl_dnn_const_layout to,
                         dnnl_primitive_t *out);

/* out = left · right */
typedef struct pl_dnn_factors {
  pl_dnn_const_layout left, right, out;
} pl_dnn_factors;

pl_status pl_dnn_describe_product(dnnl_engine_t engine, const pl_dnn_factors *factors,
                                  const_dnnl_primitive_attr_t attributes,
                                  dnnl_primitive_desc_t *out);

/* y = x · weightsᵀ + bias; a bias of NULL is none. */
typedef struct pl_dnn_dense {
  pl_dnn_const_layout x, weights, bias, y;
} pl_dnn_dense;

pl_status pl_dnn_describe_dense(dnnl_engine_t engine, const pl_dnn_dense *dense,
                                const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *out);

/* A convolution, or with a hint, which is the forward one, the gradient that its name says: layouts
 * are then of gradients. */
typedef struct pl_dnn_windows {
  pl_dnn_const_layout x, weights, y;
  int stride, pad;
  const_dnnl_primitive_desc_t hint;
} pl_dnn_windows;

pl_status pl_dnn_describe_convolution(dnnl_engine_t engine, const pl_dnn_windows *windows,
                                      const_dnnl_primitive_attr_t attributes,
                                      dnnl_primitive_desc_t *out);
pl_status pl_dnn_describe_dx(dnnl_engine_t engine, const pl_dnn_windows *windows,
                             const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *out);
pl_status pl_dnn_describe_dw(dnnl_engine_t engine, const pl_dnn_windows *windows,
                             const_dnnl_primitive_attr_t attributes, dnnl_primitive_desc_t *out);

#endif
