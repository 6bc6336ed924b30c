/* Products as runtime/cuda/product.h has them, in plain loops with the sums of tensor cores, or of
 * f32 where these are not allowed. They are queued like all work, and look at what the library
 * would trip over: matrices that are aligned less than their plan says. Workspace is written all
 * over. */
#include <cublasLt.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "tests/emulation/faults.h"
#include "tests/emulation/language.h"
#include "tests/emulation/sums.h"
#include "tests/emulation/values.h"

extern "C" {
#include "runtime/cuda/engine.h"
cudaStream_t pl_cuda_stream(void);
}

struct pl_product {
  pl_product_spec spec;
  const void *bias;
};
struct cublasLtContext {
  int unused;
};

namespace {

const size_t WORKSPACE = 1000;

void check_alignment(const char *what, const pl_product_matrix &m, pl_dtype type, const void *at) {
  if ((uintptr_t)at % pl_product_alignment(&m, type) == 0) return;
  fprintf(stderr, "emulated product: its %s is not aligned as its plan says\n", what);
  abort();
}

/* Where element (row, column) of a matrix of the batch is. */
int64_t place(const pl_product_matrix &m, int batch, int row, int column) {
  return batch * m.step + (m.transposed ? column * m.line + row : row * m.line + column);
}

/* A matrix of the batch, line by line, as it is multiplied. */
std::vector<float> factors(const pl_product_spec &s, const pl_product_matrix &m, int lines,
                           int columns, int batch, const void *from) {
  bool rounds = s.tf32 && s.type == PL_F32;
  std::vector<float> all;
  all.reserve((size_t)lines * (size_t)columns);
  for (int i = 0; i < lines; i++)
    for (int j = 0; j < columns; j++) {
      float value = value_read(s.type, from, place(m, batch, i, j));
      all.push_back(rounds ? emulated_tf32(value) : value);
    }
  return all;
}

template <typename Sum>
void multiply(const pl_product_spec &s, const void *bias, const void *left, const void *right,
              bool add, void *out) {
  for (int b = 0; b < s.batch; b++) {
    std::vector<float> lefts = factors(s, s.left, s.rows, s.inner, b, left);
    std::vector<float> rights = factors(s, s.right, s.inner, s.cols, b, right);
    for (int i = 0; i < s.rows; i++) {
      std::vector<Sum> sums((size_t)s.cols);
      for (int k = 0; k < s.inner; k++)
        emulated_add_products(sums.data(), lefts[(size_t)i * (size_t)s.inner + (size_t)k],
                              &rights[(size_t)k * (size_t)s.cols], s.cols);
      for (int j = 0; j < s.cols; j++) {
        float before = s.bias ? value_read(s.out_type, bias, j) : 0;
        if (add) before += value_read(s.out_type, out, place(s.out, b, i, j));
        value_write(s.out_type, out, place(s.out, b, i, j), before + sums[(size_t)j].value());
      }
    }
  }
}

}  // namespace

pl_status pl_product_create(const pl_product_spec *spec, pl_product **out) {
  if (fault_refuses("product")) return pl_no_product(spec);
  *out = new pl_product{*spec, nullptr};
  return PL_OK;
}

pl_status pl_product_set_bias(pl_product *product, const void *bias) {
  if (!product->spec.bias) return PL_FAIL(PL_E_INTERNAL, "the plan has no bias");
  if ((uintptr_t)bias % PL_ALIGNMENT != 0) return PL_FAIL(PL_E_INTERNAL, "the bias is not aligned");
  product->bias = bias;
  return PL_OK;
}

void pl_product_destroy(pl_product **product) {
  delete *product;
  *product = nullptr;
}

size_t pl_product_scratch_bytes(const pl_product *) { return WORKSPACE; }

static pl_status enqueue_product(const pl_product *product, const void *left, const void *right,
                                 bool add, void *out, void *scratch) {
  pl_product_spec s = product->spec;
  const void *bias = product->bias;
  if (s.bias && !bias) return PL_FAIL(PL_E_INTERNAL, "nobody said where the bias is");
  emulated_enqueue(pl_cuda_stream(), [=] {
    check_alignment("left", s.left, s.type, left);
    check_alignment("right", s.right, s.type, right);
    check_alignment("result", s.out, s.out_type, out);
    memset(scratch, 0xFF, WORKSPACE);
    bool cores = s.type == PL_BF16 || s.tf32;
    (cores ? multiply<emulated_core_sum> : multiply<emulated_plain_sum>)(s, bias, left, right, add,
                                                                         out);
  });
  return PL_OK;
}

pl_status pl_product_run(const pl_product *product, const void *left, const void *right, void *out,
                         void *scratch) {
  return enqueue_product(product, left, right, false, out, scratch);
}

pl_status pl_product_add(const pl_product *product, const void *left, const void *right, void *out,
                         void *scratch) {
  return enqueue_product(product, left, right, true, out, scratch);
}

/* ---- the handle that the backend makes ---- */

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  *handle = new cublasLtContext{0};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "CUBLAS_STATUS_SUCCESS"
                                         : "CUBLAS_STATUS_NOT_INITIALIZED";
}
