#include "launch/bench/device_product.h"

#include "runtime/base/random.h"

/* Random numbers: with zeros a GPU draws less power and clocks higher. */
static pl_status put_random(pl_device_product *p, pl_dtype type, uint64_t stream, void **out) {
  size_t count = (size_t)p->side * (size_t)p->side, bytes = count * pl_dtype_bytes(type);
  float *values = pl_alloc(count, sizeof *values);
  pl_bf16 *rounded = pl_alloc(count, sizeof *rounded);
  pl_status status = values && rounded ? p->device->alloc(bytes, out) : PL_E_INTERNAL;
  if (status == PL_OK) {
    pl_random random = pl_random_stream(1, PL_RANDOM_TEST, 0, stream, 0);
    for (size_t i = 0; i < count; i++) values[i] = 2 * pl_random_uniform(&random) - 1;
    pl_convert_f32_to_bf16(rounded, values, count);
    status = p->device->put(*out, type == PL_BF16 ? (void *)rounded : (void *)values, bytes);
  }
  pl_free(values);
  pl_free(rounded);
  return status;
}

pl_status pl_device_product_make(const pl_device *device, pl_dtype type, bool tf32, int side,
                                 pl_device_product *p) {
  const pl_product_matrix lies = {.line = side}, flipped = {.transposed = true, .line = side};
  const pl_product_spec spec = {.batch = 1,
                                .rows = side,
                                .inner = side,
                                .cols = side,
                                .left = lies,
                                .right = flipped,
                                .out = lies,
                                .type = type,
                                .out_type = PL_F32,
                                .tf32 = tf32};
  *p = (pl_device_product){.device = device, .side = side};
  PL_TRY(pl_product_create(&spec, &p->product));
  PL_TRY(put_random(p, type, 0, &p->left));
  PL_TRY(put_random(p, type, 1, &p->right));
  PL_TRY(device->alloc((size_t)side * (size_t)side * sizeof(float), &p->out));
  return device->alloc(pl_product_scratch_bytes(p->product), &p->scratch);
}

pl_status pl_device_product_run(pl_device_product *p, int64_t times, double *flops) {
  for (int64_t i = 0; i < times; i++)
    PL_TRY(pl_product_run(p->product, p->left, p->right, p->out, p->scratch));
  *flops += 2.0 * p->side * p->side * p->side * (double)times;
  return p->device->finish();
}

void pl_device_product_free(pl_device_product *p) {
  if (!p->device) return;
  pl_product_destroy(&p->product);
  p->device->release(p->left);
  p->device->release(p->right);
  p->device->release(p->out);
  p->device->release(p->scratch);
}
