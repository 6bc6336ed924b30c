#include "tests/unit/cuda_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/cuda/cuda.h"
#include "tests/check.h"

bool cuda_test_open(void) {
  if (!pl_cuda_built() || pl_cuda_devices() == 0) {
    printf("skipped: %s\n", pl_cuda_built() ? "there is no CUDA device" : "built without CUDA");
    return false;
  }
  if (pl_cuda_open(0) == PL_OK) return true;
  fprintf(stderr, "%s\n", pl_last_reason()->message);
  exit(1);
}

void *cuda_test_place(const void *values, size_t bytes) {
  const pl_device *device = pl_cuda_backend()->device;
  void *there = NULL;
  CHECK_OK(device->alloc(bytes, &there));
  if (values) CHECK_OK(device->put(there, values, bytes));
  return there;
}

void cuda_test_take(void *values, void *there, size_t bytes) {
  const pl_device *device = pl_cuda_backend()->device;
  CHECK_OK(device->get(values, there, bytes));
  device->release(there);
}
