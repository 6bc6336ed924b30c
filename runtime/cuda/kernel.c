#include "runtime/cuda/kernel.h"

static pl_status make_room(size_t bytes, pl_device_param *out) {
  *out = (pl_device_param){.bytes = bytes};
  return pl_cuda_device.alloc(bytes, &out->values);
}

pl_status pl_device_param_create(const pl_space *space, int param, pl_device_param *out) {
  *out = (pl_device_param){0};
  if (param < 0) return PL_OK;
  const pl_param *p = pl_space_param(space, param);
  return make_room((size_t)p->count * pl_dtype_bytes(p->compute_type), out);
}

pl_status pl_device_param_load(const pl_space *space, int param, const void *image,
                               pl_device_param *p) {
  if (param < 0) return PL_OK;
  size_t offset = pl_space_param(space, param)->image_offset;
  return pl_cuda_device.put(p->values, (const char *)image + offset, p->bytes);
}

pl_status pl_device_buffer_create(const pl_space *space, int buffer, pl_device_param *out) {
  *out = (pl_device_param){0};
  if (buffer < 0) return PL_OK;
  return make_room((size_t)pl_space_buffer(space, buffer)->count * sizeof(float), out);
}

pl_status pl_device_buffer_load(const pl_space *space, int buffer, const float *buffers,
                                pl_device_param *p) {
  if (buffer < 0) return PL_OK;
  return pl_cuda_device.put(p->values, buffers + pl_space_buffer(space, buffer)->offset, p->bytes);
}

void pl_device_param_free(pl_device_param *p) {
  pl_cuda_device.release(p->values);
  *p = (pl_device_param){0};
}
