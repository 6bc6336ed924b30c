/* The backend of a program that was built without CUDA. */
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/product.h"

static pl_status not_built(void) {
  return PL_FAIL(PL_E_USAGE,
                 "this program was built without CUDA; use the processor (cpu), or install CUDA 13 "
                 "with cuBLASLt and cuDNN 9 and build with -DPLENUM_CUDA=ON");
}

bool pl_cuda_built(void) { return false; }

int pl_cuda_devices(void) { return 0; }

bool pl_cuda_has_driver(void) { return false; }

pl_status pl_cuda_check_device(int index) {
  (void)index;
  return not_built();
}

pl_status pl_cuda_open(int index) {
  (void)index;
  return not_built();
}

void pl_cuda_close(void) {}

void pl_cuda_use_tf32(bool allowed) { (void)allowed; }

pl_status pl_cuda_get_info(pl_cuda_info *info) {
  *info = (pl_cuda_info){0};
  return not_built();
}

const pl_backend *pl_cuda_backend(void) { return NULL; }

const pl_view_maker *pl_cuda_view_maker(void) { return NULL; }

/* Products of a device that can't be opened: nobody gets beyond making one. */
pl_status pl_product_create(const pl_product_spec *spec, pl_product **out) {
  (void)spec;
  *out = NULL;
  return not_built();
}

void pl_product_destroy(pl_product **product) { *product = NULL; }

pl_status pl_product_set_bias(pl_product *product, const void *bias) {
  (void)product, (void)bias;
  return not_built();
}

size_t pl_product_scratch_bytes(const pl_product *product) {
  (void)product;
  return 0;
}

pl_status pl_product_run(const pl_product *product, const void *left, const void *right, void *out,
                         void *scratch) {
  (void)product, (void)left, (void)right, (void)out, (void)scratch;
  return not_built();
}

pl_status pl_product_add(const pl_product *product, const void *left, const void *right, void *out,
                         void *scratch) {
  return pl_product_run(product, left, right, out, scratch);
}

const pl_backend *pl_cuda_planning_backend(void) { return NULL; }

bool pl_cuda_is_open(void) { return false; }
