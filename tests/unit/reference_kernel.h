/* What the reference backend's operations share. */
#ifndef TESTS_UNIT_REFERENCE_KERNEL_H
#define TESTS_UNIT_REFERENCE_KERNEL_H

#include "runtime/net/backend.h"

struct pl_kernel {
  pl_kernel_spec spec;
  const void *weight; /* of weight_type, in the compute image */
  pl_dtype weight_type;
  const float *bias; /* NULL when there is none */
  const float *running_mean, *running_var;
};

static inline double pl_get(pl_dtype type, const void *array, size_t i) {
  return type == PL_F32 ? (double)((const float *)array)[i]
                        : (double)pl_bf16_to_f32(((const pl_bf16 *)array)[i]);
}

static inline void pl_put(pl_dtype type, void *array, size_t i, double value) {
  if (type == PL_F32) {
    ((float *)array)[i] = (float)value;
  } else {
    ((pl_bf16 *)array)[i] = pl_f32_to_bf16((float)value);
  }
}

/* Values of one call by kind: x and dx have in_type, y and dy out_type. */
static inline double pl_get_x(const pl_kernel *k, const pl_kernel_args *a, size_t i) {
  return pl_get(k->spec.in_type, a->x, i);
}
static inline double pl_get_dy(const pl_kernel *k, const pl_kernel_args *a, size_t i) {
  return pl_get(k->spec.out_type, a->dy, i);
}
static inline double pl_get_weight(const pl_kernel *k, size_t i) {
  return pl_get(k->weight_type, k->weight, i);
}

/* Index of (row, y, x, channel) in a channel-last value. */
static inline size_t pl_at(pl_shape s, int row, int y, int x, int channel) {
  return (((size_t)row * s.height + y) * s.width + x) * s.channels + channel;
}

/* Elements per row. */
static inline size_t pl_in_elements(const pl_kernel *k) {
  return (size_t)pl_shape_elements(k->spec.op->in_shape);
}
static inline size_t pl_out_elements(const pl_kernel *k) {
  return (size_t)pl_shape_elements(k->spec.op->out_shape);
}

/* Operations with windows (reference_windows.c). */
void pl_reference_conv_forward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_conv_backward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_max_pool_forward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_max_pool_backward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_avg_pool_forward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_avg_pool_backward(const pl_kernel *k, const pl_kernel_args *a);

/* Sequences (reference_sequence.c, reference_attention.c). */
void pl_reference_embedding_forward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_embedding_backward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_positions_forward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_positions_backward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_layer_norm_forward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_layer_norm_backward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_gelu_forward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_gelu_backward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_select_forward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_select_backward(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_dropout(const pl_kernel *k, const pl_kernel_args *a, const void *from, void *to);
pl_status pl_reference_attention(const pl_kernel *k, const pl_kernel_args *a, bool forward);

/* Batch norm (reference_norm.c); the first with running statistics. */
void pl_reference_norm_infer(const pl_kernel *k, const pl_kernel_args *a);
void pl_reference_norm_forward_sums(const pl_kernel *k, const pl_kernel_args *a, double *sums);
void pl_reference_norm_forward_apply(const pl_kernel *k, const pl_kernel_args *a,
                                     const double *totals, double count);
void pl_reference_norm_backward_sums(const pl_kernel *k, const pl_kernel_args *a, double *sums);
void pl_reference_norm_backward_apply(const pl_kernel *k, const pl_kernel_args *a,
                                      const double *totals, double count);

#endif
