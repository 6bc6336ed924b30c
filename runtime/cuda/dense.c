#include "runtime/cuda/dense.h"

#include "runtime/cuda/kernel.h"

/* y and dy may lie anywhere in an array of which only whole ones stand before them: those of other
 * leaves, or of other rows of the leaf. */
static pl_product_matrix y_matrix(const pl_dense_spec *s) {
  return (pl_product_matrix){.line = s->features, .placement = (int64_t)s->lines * s->features};
}

static pl_status make_forward(pl_dense *d) {
  const pl_dense_spec *s = &d->spec;
  pl_product_spec product = {
      .batch = 1,
      .rows = s->lines,
      .inner = s->inner,
      .cols = s->features,
      .left = {.line = s->inner},
      .right = {.transposed = !s->transposed, .line = s->transposed ? s->features : s->inner},
      .out = y_matrix(s),
      .type = s->type,
      .out_type = s->out_type,
      .bias = s->bias,
      .tf32 = pl_cuda_tf32()};
  return pl_product_create(&product, &d->forward);
}

static pl_status make_backward_data(pl_dense *d) {
  const pl_dense_spec *s = &d->spec;
  pl_product_spec product = {
      .batch = 1,
      .rows = s->lines,
      .inner = s->features,
      .cols = s->inner,
      .left = y_matrix(s),
      .right = {.transposed = s->transposed, .line = s->transposed ? s->features : s->inner},
      .out = {.line = s->inner},
      .type = s->type,
      .out_type = s->type,
      .tf32 = pl_cuda_tf32()};
  return pl_product_create(&product, &d->backward_data);
}

static pl_status make_backward_weight(pl_dense *d) {
  const pl_dense_spec *s = &d->spec;
  pl_product_matrix x = {.line = s->inner}, dy = y_matrix(s);
  pl_product_spec product = {.batch = 1,
                             .rows = s->transposed ? s->inner : s->features,
                             .inner = s->lines,
                             .cols = s->transposed ? s->features : s->inner,
                             .left = s->transposed ? x : dy,
                             .right = s->transposed ? dy : x,
                             .out = {.line = s->transposed ? s->features : s->inner},
                             .type = s->type,
                             .out_type = PL_F32,
                             .tf32 = pl_cuda_tf32()};
  product.left.transposed = true;
  return pl_product_create(&product, &d->backward_weight);
}

static pl_status make_products(pl_dense *d) {
  PL_TRY(make_forward(d));
  if (!d->spec.backward) return PL_OK;
  PL_TRY(make_backward_weight(d));
  return d->spec.need_dx ? make_backward_data(d) : PL_OK;
}

pl_status pl_dense_create(const pl_dense_spec *spec, pl_dense *dense) {
  *dense = (pl_dense){.spec = *spec};
  pl_status status = make_products(dense);
  if (status != PL_OK) pl_dense_free(dense);
  return status;
}

void pl_dense_free(pl_dense *dense) {
  pl_product_destroy(&dense->forward);
  pl_product_destroy(&dense->backward_data);
  pl_product_destroy(&dense->backward_weight);
  *dense = (pl_dense){0};
}

pl_status pl_dense_load(pl_dense *dense, const void *weight, const void *bias) {
  dense->weight = weight;
  return dense->spec.bias ? pl_product_set_bias(dense->forward, bias) : PL_OK;
}

size_t pl_dense_scratch_bytes(const pl_dense *dense) {
  const pl_product *products[] = {dense->forward, dense->backward_data, dense->backward_weight};
  size_t most = 0;
  for (int i = 0; i < 3; i++) {
    size_t bytes = products[i] ? pl_product_scratch_bytes(products[i]) : 0;
    if (bytes > most) most = bytes;
  }
  return most;
}

pl_status pl_dense_forward(const pl_dense *dense, const void *x, void *y, void *scratch) {
  return pl_product_run(dense->forward, x, dense->weight, y, scratch);
}

static pl_status multiply(const pl_product *product, const void *left, const void *right, bool add,
                          void *out, void *scratch) {
  return add ? pl_product_add(product, left, right, out, scratch)
             : pl_product_run(product, left, right, out, scratch);
}

pl_status pl_dense_backward_weight(const pl_dense *dense, const void *x, const void *dy, bool add,
                                   float *dweight, void *scratch) {
  bool transposed = dense->spec.transposed;
  const void *left = transposed ? x : dy, *right = transposed ? dy : x;
  return multiply(dense->backward_weight, left, right, add, dweight, scratch);
}

pl_status pl_dense_backward_data(const pl_dense *dense, const void *dy, bool add, void *dx,
                                 void *scratch) {
  return dense->backward_data ? multiply(dense->backward_data, dy, dense->weight, add, dx, scratch)
                              : PL_OK;
}
