#include "tests/unit/cuda_tables.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/cuda/cuda.h"

const op_table *const cuda_tables[] = {
    &op_pointwise, &op_convolutions, &op_linears, &op_linears_each, &op_gelus, &op_attentions,
};
const size_t cuda_table_count = sizeof cuda_tables / sizeof *cuda_tables;

bool cuda_test_open(void) {
  if (!pl_cuda_built() || pl_cuda_devices() == 0) {
    printf("skipped: %s\n", pl_cuda_built() ? "there is no CUDA device" : "built without CUDA");
    return false;
  }
  if (pl_cuda_open(0) == PL_OK) return true;
  fprintf(stderr, "%s\n", pl_last_reason()->message);
  exit(1);
}
