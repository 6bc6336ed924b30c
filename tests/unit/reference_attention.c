/* Multi-head attention, one query at a time; nothing is saved. */
#include <math.h>

#include "runtime/base/memory.h"
#include "tests/unit/reference_kernel.h"

/* One head of one row. */
typedef struct head {
  const pl_kernel *k;
  const pl_kernel_args *a;
  size_t length, width, channels; /* positions, channels of the head, of all heads */
  size_t first;                   /* position of the row, of all rows' */
  size_t offset;                  /* channel of the head */
} head;

/* Index in qkv of channel c of query (0), key (1) or value (2) t; index in the output. */
static size_t at_qkv(const head *h, int which, size_t t, size_t c) {
  return (h->first + t) * 3 * h->channels + (size_t)which * h->channels + h->offset + c;
}
static size_t at_out(const head *h, size_t t, size_t c) {
  return (h->first + t) * h->channels + h->offset + c;
}

static double get_x(const head *h, int which, size_t t, size_t c) {
  return pl_get_x(h->k, h->a, at_qkv(h, which, t, c));
}

static size_t seen(const head *h, size_t t) { return h->k->spec.op->causal ? t + 1 : h->length; }

/* probability[0..seen): how much query t attends to each position. */
static void attend(const head *h, size_t t, double *probability) {
  double largest = -INFINITY, sum = 0;
  for (size_t j = 0; j < seen(h, t); j++) {
    double score = 0;
    for (size_t c = 0; c < h->width; c++) score += get_x(h, 0, t, c) * get_x(h, 1, j, c);
    probability[j] = score / sqrt((double)h->width);
    largest = fmax(largest, probability[j]);
  }
  for (size_t j = 0; j < seen(h, t); j++) sum += probability[j] = exp(probability[j] - largest);
  for (size_t j = 0; j < seen(h, t); j++) probability[j] /= sum;
}

static void head_forward(const head *h, double *probability) {
  for (size_t t = 0; t < h->length; t++) {
    attend(h, t, probability);
    for (size_t c = 0; c < h->width; c++) {
      double y = 0;
      for (size_t j = 0; j < seen(h, t); j++) y += probability[j] * get_x(h, 2, j, c);
      pl_put(h->k->spec.out_type, h->a->y, at_out(h, t, c), y);
    }
  }
}

/* Adds what query t contributes to the gradients (3, length, width) of the head. */
static void query_backward(const head *h, size_t t, double *probability, double *slope,
                           double *gradient) {
  double along = 0, scale = 1 / sqrt((double)h->width);
  double *dq = gradient, *dk = dq + h->length * h->width, *dv = dk + h->length * h->width;
  attend(h, t, probability);
  for (size_t j = 0; j < seen(h, t); j++) {
    slope[j] = 0;
    for (size_t c = 0; c < h->width; c++) {
      double dy = pl_get_dy(h->k, h->a, at_out(h, t, c));
      slope[j] += dy * get_x(h, 2, j, c);
      dv[j * h->width + c] += probability[j] * dy;
    }
    along += probability[j] * slope[j];
  }
  for (size_t j = 0; j < seen(h, t); j++) {
    double ds = probability[j] * (slope[j] - along) * scale;
    for (size_t c = 0; c < h->width; c++) {
      dq[t * h->width + c] += ds * get_x(h, 1, j, c);
      dk[j * h->width + c] += ds * get_x(h, 0, t, c);
    }
  }
}

static void head_backward(const head *h, double *probability, double *slope, double *gradient) {
  size_t block = h->length * h->width;
  for (size_t i = 0; i < 3 * block; i++) gradient[i] = 0;
  for (size_t t = 0; t < h->length; t++) query_backward(h, t, probability, slope, gradient);
  for (int which = 0; which < 3; which++)
    for (size_t t = 0; t < h->length; t++)
      for (size_t c = 0; c < h->width; c++)
        pl_put(h->k->spec.in_type, h->a->dx, at_qkv(h, which, t, c),
               gradient[(size_t)which * block + t * h->width + c]);
}

pl_status pl_reference_attention(const pl_kernel *k, const pl_kernel_args *a, bool forward) {
  const pl_op *op = k->spec.op;
  head h = {.k = k,
            .a = a,
            .length = (size_t)op->in_shape.height,
            .channels = (size_t)op->out_shape.channels};
  h.width = h.channels / (size_t)op->heads;
  double *room = pl_alloc(2 * h.length + 3 * h.length * h.width, sizeof *room);
  if (!room) return PL_E_INTERNAL;
  for (int row = 0; row < k->spec.rows; row++) {
    for (int i = 0; i < op->heads; i++) {
      h.first = (size_t)row * h.length;
      h.offset = (size_t)i * h.width;
      if (forward) head_forward(&h, room);
      if (!forward) head_backward(&h, room, room + h.length, room + 2 * h.length);
    }
  }
  pl_free(room);
  return PL_OK;
}
