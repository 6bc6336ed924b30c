/* Batch norm with fused addition and ReLU: y = relu((x - mean) / sqrt(var + epsilon) * gain + bias
 * + skip). Saved: means, then 1 / sqrt(var + epsilon), as doubles. */
#include <math.h>

#include "tests/unit/reference_kernel.h"

static int channels(const pl_kernel *k) { return k->spec.op->in_shape.channels; }

/* Elements of one channel in a leaf, and the index of the i-th of them. */
static size_t elements(const pl_kernel *k) {
  return (size_t)k->spec.rows * pl_in_elements(k) / (size_t)channels(k);
}
static size_t element(const pl_kernel *k, size_t i, int c) {
  return i * (size_t)channels(k) + (size_t)c;
}

static void apply_channel(const pl_kernel *k, const pl_kernel_args *a, int c, double mean,
                          double inverse) {
  const pl_op *op = k->spec.op;
  for (size_t i = 0; i < elements(k); i++) {
    size_t at = element(k, i, c);
    double y =
        (pl_get_x(k, a, at) - mean) * inverse * pl_get_weight(k, (size_t)c) + (double)k->bias[c];
    if (op->fused_add) y += pl_get(k->spec.in_type, a->skip, at);
    if (op->fused_relu && y < 0) y = 0;
    pl_put(k->spec.out_type, a->y, at, y);
  }
}

void pl_reference_norm_infer(const pl_kernel *k, const pl_kernel_args *a) {
  for (int c = 0; c < channels(k); c++) {
    double variance = (double)k->running_var[c];
    apply_channel(k, a, c, (double)k->running_mean[c],
                  1 / sqrt(variance + (double)k->spec.op->epsilon));
  }
}

void pl_reference_norm_forward_sums(const pl_kernel *k, const pl_kernel_args *a, double *sums) {
  for (int c = 0; c < channels(k); c++) {
    double sum = 0;
    double squares = 0;
    for (size_t i = 0; i < elements(k); i++) {
      double x = pl_get_x(k, a, element(k, i, c));
      sum += x;
      squares += x * x;
    }
    sums[c] = sum;
    sums[channels(k) + c] = squares;
  }
}

void pl_reference_norm_forward_apply(const pl_kernel *k, const pl_kernel_args *a,
                                     const double *totals, double count) {
  double *saved = a->saved;
  for (int c = 0; c < channels(k); c++) {
    double mean = totals[c] / count;
    double variance = totals[channels(k) + c] / count - mean * mean;
    double inverse = 1 / sqrt(fmax(variance, 0) + (double)k->spec.op->epsilon);
    saved[c] = mean;
    saved[channels(k) + c] = inverse;
    apply_channel(k, a, c, mean, inverse);
  }
}

/* dy behind the fused ReLU's mask. */
static double masked_dy(const pl_kernel *k, const pl_kernel_args *a, size_t at) {
  if (k->spec.op->fused_relu && !(pl_get(k->spec.out_type, a->y, at) > 0)) return 0;
  return pl_get_dy(k, a, at);
}

void pl_reference_norm_backward_sums(const pl_kernel *k, const pl_kernel_args *a, double *sums) {
  const double *saved = a->saved;
  for (int c = 0; c < channels(k); c++) {
    double sum = 0;
    double products = 0;
    for (size_t i = 0; i < elements(k); i++) {
      size_t at = element(k, i, c);
      double dy = masked_dy(k, a, at);
      sum += dy;
      products += dy * (pl_get_x(k, a, at) - saved[c]) * saved[channels(k) + c];
    }
    sums[c] = sum;
    sums[channels(k) + c] = products;
    a->dbias[c] = (float)sum;
    a->dweight[c] = (float)products;
  }
}

void pl_reference_norm_backward_apply(const pl_kernel *k, const pl_kernel_args *a,
                                      const double *totals, double count) {
  const double *saved = a->saved;
  for (int c = 0; c < channels(k); c++) {
    double inverse = saved[channels(k) + c];
    for (size_t i = 0; i < elements(k); i++) {
      size_t at = element(k, i, c);
      double dy = masked_dy(k, a, at);
      double normal = (pl_get_x(k, a, at) - saved[c]) * inverse;
      double dx = pl_get_weight(k, (size_t)c) * inverse *
                  (dy - totals[c] / count - normal * totals[channels(k) + c] / count);
      if (k->spec.need_dx) pl_put(k->spec.in_type, a->dx, at, dx);
      if (a->dskip) pl_put(k->spec.in_type, a->dskip, at, dy);
    }
  }
}
