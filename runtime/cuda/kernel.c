#include "runtime/cuda/kernel.h"

#include "runtime/base/account.h"

static const pl_device *device(void) {
  return pl_account_is_planning() ? &pl_planned_device : &pl_cuda_device;
}

pl_status pl_device_values_create(size_t bytes, pl_device_values *out) {
  *out = (pl_device_values){.bytes = bytes};
  return device()->alloc(bytes, &out->array);
}

void pl_device_values_free(pl_device_values *values) {
  device()->release(values->array);
  *values = (pl_device_values){0};
}

pl_status pl_device_buffer_create(const pl_space *space, int buffer, pl_device_values *out) {
  return pl_device_values_create((size_t)pl_space_buffer(space, buffer)->count * sizeof(float),
                                 out);
}

pl_status pl_device_buffer_load(const pl_space *space, int buffer, const float *buffers,
                                const pl_device_values *values) {
  return pl_cuda_device.put(values->array, buffers + pl_space_buffer(space, buffer)->offset,
                            values->bytes);
}
