/* What transformers add: embedding, positions, layer norm, GELU, selection, dropout. */
#include <math.h>
#include <string.h>

#include "runtime/base/random.h"
#include "tests/unit/reference_kernel.h"

/* Positions of all rows. */
static size_t positions(const pl_kernel *k) {
  pl_shape in = k->spec.op->in_shape;
  return (size_t)k->spec.rows * (size_t)in.height * (size_t)in.width;
}

static size_t channels(const pl_kernel *k) { return (size_t)k->spec.op->out_shape.channels; }

static int64_t vocabulary(const pl_kernel *k) {
  return pl_space_param(k->spec.space, k->spec.op->weight)->dim[0];
}

void pl_reference_embedding_forward(const pl_kernel *k, const pl_kernel_args *a) {
  const int32_t *ids = a->x;
  size_t width = channels(k);
  for (size_t p = 0; p < positions(k); p++) {
    bool known = ids[p] >= 0 && ids[p] < vocabulary(k);
    for (size_t c = 0; c < width; c++) {
      double y = known ? pl_get_weight(k, (size_t)ids[p] * width + c) : 0;
      pl_put(k->spec.out_type, a->y, p * width + c, y);
    }
  }
}

void pl_reference_embedding_backward(const pl_kernel *k, const pl_kernel_args *a) {
  const int32_t *ids = a->x;
  size_t width = channels(k);
  for (int64_t id = 0; id < vocabulary(k); id++) {
    for (size_t c = 0; c < width; c++) {
      double sum = 0;
      for (size_t p = 0; p < positions(k); p++) {
        if (ids[p] == id) sum += pl_get_dy(k, a, p * width + c);
      }
      a->dweight[(size_t)id * width + c] = (float)sum;
    }
  }
}

void pl_reference_positions_forward(const pl_kernel *k, const pl_kernel_args *a) {
  size_t in = pl_in_elements(k), out = pl_out_elements(k), first = out - in;
  for (size_t row = 0; row < (size_t)k->spec.rows; row++) {
    for (size_t i = 0; i < out; i++) {
      double x = i < first ? (double)k->bias[i] : pl_get_x(k, a, row * in + i - first);
      pl_put(k->spec.out_type, a->y, row * out + i, x + pl_get_weight(k, i));
    }
  }
}

void pl_reference_positions_backward(const pl_kernel *k, const pl_kernel_args *a) {
  size_t in = pl_in_elements(k), out = pl_out_elements(k), first = out - in;
  for (size_t i = 0; i < out; i++) {
    double sum = 0;
    for (size_t row = 0; row < (size_t)k->spec.rows; row++) {
      double dy = pl_get_dy(k, a, row * out + i);
      sum += dy;
      if (k->spec.need_dx && i >= first) {
        pl_put(k->spec.in_type, a->dx, row * in + i - first, dy);
      }
    }
    a->dweight[i] = (float)sum;
    if (i < first) a->dbias[i] = (float)sum;
  }
}

/* Mean and 1 / sqrt(variance + epsilon) of the position that starts at element `at`. */
static void position_statistics(const pl_kernel *k, const pl_kernel_args *a, size_t at,
                                double *mean, double *inverse) {
  size_t n = channels(k);
  double sum = 0;
  for (size_t c = 0; c < n; c++) sum += pl_get_x(k, a, at + c);
  *mean = sum / (double)n;
  double squares = 0;
  for (size_t c = 0; c < n; c++) squares += pow(pl_get_x(k, a, at + c) - *mean, 2);
  *inverse = 1 / sqrt(squares / (double)n + (double)k->spec.op->epsilon);
}

void pl_reference_layer_norm_forward(const pl_kernel *k, const pl_kernel_args *a) {
  size_t n = channels(k);
  for (size_t at = 0; at < positions(k) * n; at += n) {
    double mean, inverse;
    position_statistics(k, a, at, &mean, &inverse);
    for (size_t c = 0; c < n; c++) {
      double normal = (pl_get_x(k, a, at + c) - mean) * inverse;
      pl_put(k->spec.out_type, a->y, at + c, normal * pl_get_weight(k, c) + (double)k->bias[c]);
    }
  }
}

static void layer_norm_dx(const pl_kernel *k, const pl_kernel_args *a, size_t at) {
  size_t n = channels(k);
  double mean, inverse, sum = 0, along = 0;
  position_statistics(k, a, at, &mean, &inverse);
  for (size_t c = 0; c < n; c++) {
    double g = pl_get_dy(k, a, at + c) * pl_get_weight(k, c);
    sum += g;
    along += g * (pl_get_x(k, a, at + c) - mean) * inverse;
  }
  for (size_t c = 0; c < n; c++) {
    double g = pl_get_dy(k, a, at + c) * pl_get_weight(k, c);
    double normal = (pl_get_x(k, a, at + c) - mean) * inverse;
    pl_put(k->spec.in_type, a->dx, at + c,
           inverse * (g - sum / (double)n - normal * along / (double)n));
  }
}

void pl_reference_layer_norm_backward(const pl_kernel *k, const pl_kernel_args *a) {
  size_t n = channels(k);
  for (size_t c = 0; c < n; c++) {
    double gain = 0, bias = 0;
    for (size_t at = 0; at < positions(k) * n; at += n) {
      double mean, inverse;
      position_statistics(k, a, at, &mean, &inverse);
      double dy = pl_get_dy(k, a, at + c);
      gain += dy * (pl_get_x(k, a, at + c) - mean) * inverse;
      bias += dy;
    }
    a->dweight[c] = (float)gain;
    a->dbias[c] = (float)bias;
  }
  if (!k->spec.need_dx) return;
  for (size_t at = 0; at < positions(k) * n; at += n) layer_norm_dx(k, a, at);
}

void pl_reference_gelu_forward(const pl_kernel *k, const pl_kernel_args *a) {
  bool quick = k->spec.op->gelu == PL_GELU_QUICK;
  for (size_t i = 0; i < (size_t)k->spec.rows * pl_in_elements(k); i++) {
    double x = pl_get_x(k, a, i);
    double share = quick ? 1 / (1 + exp(-1.702 * x)) : 0.5 * erfc(-x * M_SQRT1_2);
    pl_put(k->spec.out_type, a->y, i, x * share);
  }
}

void pl_reference_gelu_backward(const pl_kernel *k, const pl_kernel_args *a) {
  bool quick = k->spec.op->gelu == PL_GELU_QUICK;
  for (size_t i = 0; i < (size_t)k->spec.rows * pl_in_elements(k); i++) {
    double x = pl_get_x(k, a, i);
    double share = quick ? 1 / (1 + exp(-1.702 * x)) : 0.5 * erfc(-x * M_SQRT1_2);
    double slope = quick ? 1.702 * share * (1 - share) : exp(-0.5 * x * x) / sqrt(2 * M_PI);
    pl_put(k->spec.in_type, a->dx, i, pl_get_dy(k, a, i) * (share + x * slope));
  }
}

/* The first element of the position that is selected in `row`. */
static size_t selected(const pl_kernel *k, const pl_kernel_args *a, size_t row) {
  const int32_t *ids = a->skip;
  size_t length = positions(k) / (size_t)k->spec.rows, best = 0;
  if (k->spec.op->select == PL_SELECT_END) {
    for (size_t t = 1; t < length; t++) {
      if (ids[row * length + t] > ids[row * length + best]) best = t;
    }
  }
  return (row * length + best) * channels(k);
}

void pl_reference_select_forward(const pl_kernel *k, const pl_kernel_args *a) {
  size_t n = channels(k);
  for (size_t row = 0; row < (size_t)k->spec.rows; row++) {
    size_t from = selected(k, a, row);
    for (size_t c = 0; c < n; c++) {
      pl_put(k->spec.out_type, a->y, row * n + c, pl_get_x(k, a, from + c));
    }
  }
}

void pl_reference_select_backward(const pl_kernel *k, const pl_kernel_args *a) {
  size_t n = channels(k);
  for (size_t i = 0; i < positions(k) * n; i++) pl_put(k->spec.in_type, a->dx, i, 0);
  for (size_t row = 0; row < (size_t)k->spec.rows; row++) {
    size_t to = selected(k, a, row);
    for (size_t c = 0; c < n; c++) {
      pl_put(k->spec.in_type, a->dx, to + c, pl_get_dy(k, a, row * n + c));
    }
  }
}

/* Element i takes the i-th number of the stream: forward from x to y, backward from dy to dx. */
void pl_reference_dropout(const pl_kernel *k, const pl_kernel_args *a, const void *from, void *to) {
  const pl_op *op = k->spec.op;
  pl_random r = pl_random_stream(a->seed, PL_RANDOM_DROPOUT, a->draw_step, a->draw_leaf,
                                 (uint32_t)op->number);
  double rate = (double)op->rate;
  for (size_t i = 0; i < (size_t)k->spec.rows * pl_in_elements(k); i++) {
    bool keep = (double)pl_random_bits(&r) >= rate * 4294967296.0;
    pl_put(k->spec.in_type, to, i, keep ? pl_get(k->spec.in_type, from, i) / (1 - rate) : 0);
  }
}
