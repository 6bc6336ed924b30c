#include "tests/unit/reference_kernel.h"

/* Runs the code that follows for each position (row, oy, ox) of the output. */
#define FOR_EACH_OUTPUT(rows, out)            \
  for (int row = 0; row < (rows); row++)      \
    for (int oy = 0; oy < (out).height; oy++) \
      for (int ox = 0; ox < (out).width; ox++)

/* Runs the code that follows for each (iy, ix) under the window of (oy, ox) that is inside. */
#define FOR_EACH_INSIDE(w, in)                                                    \
  for (int ky = 0, iy = oy * (w).stride - (w).pad; ky < (w).kernel; ky++, iy++)   \
    for (int kx = 0, ix = ox * (w).stride - (w).pad; kx < (w).kernel; kx++, ix++) \
      if (iy >= 0 && iy < (in).height && ix >= 0 && ix < (in).width)

static size_t weight_at(const pl_op *op, int out, int in, int ky, int kx) {
  int kernel = op->window.kernel;
  return (((size_t)out * op->in_shape.channels + in) * kernel + ky) * kernel + kx;
}

void pl_reference_conv_forward(const pl_kernel *k, const pl_kernel_args *a) {
  const pl_op *op = k->spec.op;
  pl_shape in = op->in_shape;
  pl_shape out = op->out_shape;
  FOR_EACH_OUTPUT(k->spec.rows, out) {
    for (int o = 0; o < out.channels; o++) {
      double sum = 0;
      FOR_EACH_INSIDE(op->window, in) {
        for (int c = 0; c < in.channels; c++) {
          sum += pl_get_x(k, a, pl_at(in, row, iy, ix, c)) *
                 pl_get_weight(k, weight_at(op, o, c, ky, kx));
        }
      }
      pl_put(k->spec.out_type, a->y, pl_at(out, row, oy, ox, o), sum);
    }
  }
}

/* The output position whose window has input position `i` at its offset `k`; false if there is
 * none.
 */
static bool covering(pl_window w, int outputs, int i, int k, int *o) {
  int start = i + w.pad - k;
  *o = start / w.stride;
  return start >= 0 && start % w.stride == 0 && *o < outputs;
}

/* Runs the code that follows for each (oy, ox) whose window covers (iy, ix). */
#define FOR_EACH_COVERING(w, out)                   \
  for (int ky = 0, oy = 0; ky < (w).kernel; ky++)   \
    for (int kx = 0, ox = 0; kx < (w).kernel; kx++) \
      if (covering(w, (out).height, iy, ky, &oy) && covering(w, (out).width, ix, kx, &ox))

/* Runs the code that follows for each element (row, iy, ix, c) of the input. */
#define FOR_EACH_INPUT(rows, in)              \
  for (int row = 0; row < (rows); row++)      \
    for (int iy = 0; iy < (in).height; iy++)  \
      for (int ix = 0; ix < (in).width; ix++) \
        for (int c = 0; c < (in).channels; c++)

static double conv_dx(const pl_kernel *k, const pl_kernel_args *a, int row, int iy, int ix, int c) {
  const pl_op *op = k->spec.op;
  pl_shape out = op->out_shape;
  double sum = 0;
  FOR_EACH_COVERING(op->window, out) {
    for (int o = 0; o < out.channels; o++) {
      sum += pl_get_dy(k, a, pl_at(out, row, oy, ox, o)) *
             pl_get_weight(k, weight_at(op, o, c, ky, kx));
    }
  }
  return sum;
}

static double conv_dweight(const pl_kernel *k, const pl_kernel_args *a, int o, int c, int ky,
                           int kx) {
  const pl_op *op = k->spec.op;
  pl_shape in = op->in_shape;
  pl_shape out = op->out_shape;
  double sum = 0;
  FOR_EACH_OUTPUT(k->spec.rows, out) {
    int iy = oy * op->window.stride - op->window.pad + ky;
    int ix = ox * op->window.stride - op->window.pad + kx;
    if (iy < 0 || iy >= in.height || ix < 0 || ix >= in.width) continue;
    sum += pl_get_dy(k, a, pl_at(out, row, oy, ox, o)) * pl_get_x(k, a, pl_at(in, row, iy, ix, c));
  }
  return sum;
}

void pl_reference_conv_backward(const pl_kernel *k, const pl_kernel_args *a) {
  const pl_op *op = k->spec.op;
  pl_shape in = op->in_shape;
  int kernel = op->window.kernel;
  for (int o = 0; o < op->out_shape.channels; o++)
    for (int c = 0; c < in.channels; c++)
      for (int ky = 0; ky < kernel; ky++)
        for (int kx = 0; kx < kernel; kx++)
          a->dweight[weight_at(op, o, c, ky, kx)] = (float)conv_dweight(k, a, o, c, ky, kx);
  if (!k->spec.need_dx) return;
  FOR_EACH_INPUT(k->spec.rows, in) {
    pl_put(k->spec.in_type, a->dx, pl_at(in, row, iy, ix, c), conv_dx(k, a, row, iy, ix, c));
  }
}

/* Saves for each output which input was the largest, the first of equals. */
void pl_reference_max_pool_forward(const pl_kernel *k, const pl_kernel_args *a) {
  const pl_op *op = k->spec.op;
  pl_shape in = op->in_shape;
  pl_shape out = op->out_shape;
  FOR_EACH_OUTPUT(k->spec.rows, out) {
    for (int c = 0; c < out.channels; c++) {
      size_t largest = SIZE_MAX;
      FOR_EACH_INSIDE(op->window, in) {
        size_t i = pl_at(in, row, iy, ix, c);
        if (largest == SIZE_MAX || pl_get_x(k, a, i) > pl_get_x(k, a, largest)) largest = i;
      }
      size_t to = pl_at(out, row, oy, ox, c);
      pl_put(k->spec.out_type, a->y, to, pl_get_x(k, a, largest));
      if (a->saved) ((uint64_t *)a->saved)[to] = largest;
    }
  }
}

void pl_reference_max_pool_backward(const pl_kernel *k, const pl_kernel_args *a) {
  const pl_op *op = k->spec.op;
  pl_shape in = op->in_shape;
  pl_shape out = op->out_shape;
  const uint64_t *largest = a->saved;
  FOR_EACH_INPUT(k->spec.rows, in) {
    size_t to = pl_at(in, row, iy, ix, c);
    double sum = 0;
    FOR_EACH_COVERING(op->window, out) {
      size_t from = pl_at(out, row, oy, ox, c);
      if (largest[from] == to) sum += pl_get_dy(k, a, from);
    }
    pl_put(k->spec.in_type, a->dx, to, sum);
  }
}

/* Positions under the window of (oy, ox) that are inside. */
static int inside(const pl_op *op, int oy, int ox) {
  int count = 0;
  FOR_EACH_INSIDE(op->window, op->in_shape) { count++; }
  return count;
}

void pl_reference_avg_pool_forward(const pl_kernel *k, const pl_kernel_args *a) {
  const pl_op *op = k->spec.op;
  pl_shape in = op->in_shape;
  pl_shape out = op->out_shape;
  FOR_EACH_OUTPUT(k->spec.rows, out) {
    for (int c = 0; c < out.channels; c++) {
      double sum = 0;
      FOR_EACH_INSIDE(op->window, in) { sum += pl_get_x(k, a, pl_at(in, row, iy, ix, c)); }
      pl_put(k->spec.out_type, a->y, pl_at(out, row, oy, ox, c), sum / inside(op, oy, ox));
    }
  }
}

void pl_reference_avg_pool_backward(const pl_kernel *k, const pl_kernel_args *a) {
  const pl_op *op = k->spec.op;
  pl_shape in = op->in_shape;
  pl_shape out = op->out_shape;
  FOR_EACH_INPUT(k->spec.rows, in) {
    double sum = 0;
    FOR_EACH_COVERING(op->window, out) {
      sum += pl_get_dy(k, a, pl_at(out, row, oy, ox, c)) / inside(op, oy, ox);
    }
    pl_put(k->spec.in_type, a->dx, pl_at(in, row, iy, ix, c), sum);
  }
}
