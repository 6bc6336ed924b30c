#include "tests/unit/cuda_test.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/cuda/cuda.h"

bool cuda_test_open(void) {
  if (!pl_cuda_built() || pl_cuda_devices() == 0) {
    printf("skipped: %s\n", pl_cuda_built() ? "there is no CUDA device" : "built without CUDA");
    return false;
  }
  if (pl_cuda_open(0) == PL_OK) return true;
  fprintf(stderr, "%s\n", pl_last_reason()->message);
  exit(1);
}
