/* Products and convolutions as runtime/cuda/product.h and convolution.h have them, in plain loops
 * with sums in double. They are queued like all work, and look at what the libraries would trip
 * over: matrices that are aligned less than their plan says. Workspace is written all over. */
#include <cublasLt.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "tests/emulation/faults.h"
#include "tests/emulation/language.h"

extern "C" {
#include "runtime/cuda/engine.h"
cudaStream_t pl_cuda_stream(void);
}

struct pl_product {
  pl_product_spec spec;
  const void *bias;
};
struct pl_convolution {
  pl_convolution_spec spec;
};
struct cublasLtContext {
  int unused;
};

namespace {

const size_t WORKSPACE = 1000;

float get(pl_dtype type, const void *from, int64_t i) {
  return type == PL_F32 ? ((const float *)from)[i] : pl_bf16_to_f32(((const pl_bf16 *)from)[i]);
}

void put(pl_dtype type, void *to, int64_t i, double value) {
  if (type == PL_F32)
    ((float *)to)[i] = (float)value;
  else
    ((pl_bf16 *)to)[i] = pl_f32_to_bf16((float)value);
}

/* ---- products ---- */

void check_alignment(const char *what, const pl_product_matrix &m, pl_dtype type, const void *at) {
  if ((uintptr_t)at % pl_product_alignment(&m, type) == 0) return;
  fprintf(stderr, "emulated product: its %s is not aligned as its plan says\n", what);
  abort();
}

/* Where element (row, column) of a matrix of the batch is. */
int64_t place(const pl_product_matrix &m, int batch, int row, int column) {
  return batch * m.step + (m.transposed ? column * m.line + row : row * m.line + column);
}

void multiply(const pl_product_spec &s, const void *bias, const void *left, const void *right,
              bool add, void *out) {
  for (int b = 0; b < s.batch; b++)
    for (int i = 0; i < s.rows; i++)
      for (int j = 0; j < s.cols; j++) {
        double sum = s.bias ? (double)get(s.out_type, bias, j) : 0;
        if (add) sum += (double)get(s.out_type, out, place(s.out, b, i, j));
        for (int k = 0; k < s.inner; k++)
          sum += (double)get(s.type, left, place(s.left, b, i, k)) *
                 (double)get(s.type, right, place(s.right, b, k, j));
        put(s.out_type, out, place(s.out, b, i, j), sum);
      }
}

/* ---- convolutions ---- */

/* Calls `visit(x, w, y)` with the elements of each product that a convolution is the sum of, those
 * of one output one after another. */
template <typename Visit>
void each_product(const pl_convolution_spec &s, Visit visit) {
  int side = s.window.kernel;
  int64_t y = 0;
  for (int row = 0; row < s.rows; row++)
    for (int h = 0; h < s.out.height; h++)
      for (int w = 0; w < s.out.width; w++)
        for (int o = 0; o < s.out.channels; o++, y++)
          for (int kh = 0; kh < side; kh++)
            for (int kw = 0; kw < side; kw++) {
              int xh = h * s.window.stride + kh - s.window.pad;
              int xw = w * s.window.stride + kw - s.window.pad;
              if (xh < 0 || xh >= s.in.height || xw < 0 || xw >= s.in.width) continue;
              int64_t x = ((int64_t)(row * s.in.height + xh) * s.in.width + xw) * s.in.channels;
              int64_t weight = ((int64_t)(o * side + kh) * side + kw) * s.in.channels;
              for (int c = 0; c < s.in.channels; c++) visit(x + c, weight + c, y);
            }
}

int64_t in_elements(const pl_convolution_spec &s) { return s.rows * pl_shape_elements(s.in); }
int64_t out_elements(const pl_convolution_spec &s) { return s.rows * pl_shape_elements(s.out); }
int64_t weight_elements(const pl_convolution_spec &s) {
  return (int64_t)s.out.channels * s.window.kernel * s.window.kernel * s.in.channels;
}

void store(const pl_convolution_spec &s, const std::vector<double> &sums, void *to) {
  for (size_t i = 0; i < sums.size(); i++) put(s.type, to, (int64_t)i, sums[i]);
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
    multiply(s, bias, left, right, add, out);
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

pl_status pl_convolution_create(const pl_convolution_spec *spec, pl_convolution **out) {
  if (fault_refuses("convolution")) {
    pl_no_convolution(spec, "the forward pass", "refused");
    return PL_OK;
  }
  *out = new pl_convolution{*spec};
  return PL_OK;
}

void pl_convolution_destroy(pl_convolution **convolution) {
  delete *convolution;
  *convolution = nullptr;
}

size_t pl_convolution_scratch_bytes(const pl_convolution *) { return WORKSPACE; }

pl_status pl_convolution_forward(const pl_convolution *c, const void *x, const void *weights,
                                 void *y, void *scratch) {
  pl_convolution_spec s = c->spec;
  emulated_enqueue(pl_cuda_stream(), [=] {
    std::vector<double> sums((size_t)out_elements(s));
    memset(scratch, 0xFF, WORKSPACE);
    each_product(s, [&](int64_t i, int64_t w, int64_t o) {
      sums[(size_t)o] += (double)get(s.type, x, i) * (double)get(s.type, weights, w);
    });
    store(s, sums, y);
  });
  return PL_OK;
}

pl_status pl_convolution_backward_data(const pl_convolution *c, const void *dy, const void *weights,
                                       void *dx, void *scratch) {
  pl_convolution_spec s = c->spec;
  if (!s.backward_data) return PL_FAIL(PL_E_INTERNAL, "the plan has no gradient of the input");
  emulated_enqueue(pl_cuda_stream(), [=] {
    std::vector<double> sums((size_t)in_elements(s));
    memset(scratch, 0xFF, WORKSPACE);
    each_product(s, [&](int64_t i, int64_t w, int64_t o) {
      sums[(size_t)i] += (double)get(s.type, dy, o) * (double)get(s.type, weights, w);
    });
    store(s, sums, dx);
  });
  return PL_OK;
}

pl_status pl_convolution_backward_weights(const pl_convolution *c, const void *x, const void *dy,
                                          void *dweights, void *scratch) {
  pl_convolution_spec s = c->spec;
  if (!s.backward_weights) return PL_FAIL(PL_E_INTERNAL, "the plan has no gradient of weights");
  emulated_enqueue(pl_cuda_stream(), [=] {
    std::vector<double> sums((size_t)weight_elements(s));
    memset(scratch, 0xFF, WORKSPACE);
    each_product(s, [&](int64_t i, int64_t w, int64_t o) {
      sums[(size_t)w] += (double)get(s.type, dy, o) * (double)get(s.type, x, i);
    });
    store(s, sums, dweights);
  });
  return PL_OK;
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
