/* Of cuBLASLt what takes a device. Its manual tells what an algorithm is chosen for, and how
 * matrices, bias and workspace have to lie. */
#include <cublasLt.h>

#include <algorithm>
#include <vector>

#include "tests/emulation/faults.h"
#include "tests/emulation/queue.h"
#include "tests/hollow/hollow.h"

struct cublasLtContext {
  int unused;
};

namespace {

const size_t WORKSPACE = 1 << 20, WORKSPACE_ALIGNMENT = 256, BIAS_ALIGNMENT = 16;
const int32_t PARTS = 2; /* that sums are split in */

struct matrix { /* column by column */
  cudaDataType_t type;
  uint64_t rows, cols;
  int64_t line, step;
  int32_t batch;
};

struct operation {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t left, right;
  cublasLtEpilogue_t epilogue;
};

struct algorithm {
  matrix left, right, out;
  uint32_t left_alignment, right_alignment, out_alignment;
  size_t workspace;
};

std::vector<algorithm> algorithms;

/* An attribute of a descriptor, by cuBLASLt's function for its kind. */
template <typename T, typename Descriptor, typename Attribute>
bool get(cublasStatus_t (*from)(Descriptor, Attribute, void *, size_t, size_t *),
         Descriptor descriptor, Attribute name, T *value) {
  size_t bytes = 0;
  return from(descriptor, name, value, sizeof *value, &bytes) == CUBLAS_STATUS_SUCCESS &&
         bytes == sizeof *value;
}

bool read_matrix(cublasLtMatrixLayout_t layout, matrix *m) {
  auto from = cublasLtMatrixLayoutGetAttribute;
  return get(from, layout, CUBLASLT_MATRIX_LAYOUT_TYPE, &m->type) &&
         get(from, layout, CUBLASLT_MATRIX_LAYOUT_ROWS, &m->rows) &&
         get(from, layout, CUBLASLT_MATRIX_LAYOUT_COLS, &m->cols) &&
         get(from, layout, CUBLASLT_MATRIX_LAYOUT_LD, &m->line) &&
         get(from, layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &m->batch) &&
         get(from, layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &m->step);
}

bool read_operation(cublasLtMatmulDesc_t descriptor, operation *o) {
  auto from = cublasLtMatmulDescGetAttribute;
  return get(from, descriptor, CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, &o->compute) &&
         get(from, descriptor, CUBLASLT_MATMUL_DESC_SCALE_TYPE, &o->scale) &&
         get(from, descriptor, CUBLASLT_MATMUL_DESC_TRANSA, &o->left) &&
         get(from, descriptor, CUBLASLT_MATMUL_DESC_TRANSB, &o->right) &&
         get(from, descriptor, CUBLASLT_MATMUL_DESC_EPILOGUE, &o->epilogue);
}

bool read_preference(cublasLtMatmulPreference_t preference, algorithm *a) {
  auto from = cublasLtMatmulPreferenceGetAttribute;
  uint64_t most = 0;
  if (!get(from, preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most)) return false;
  a->workspace = std::min<size_t>(most, WORKSPACE);
  return get(from, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &a->left_alignment) &&
         get(from, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &a->right_alignment) &&
         get(from, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &a->out_alignment);
}

bool is_same(const matrix &a, const matrix &b) {
  return a.type == b.type && a.rows == b.rows && a.cols == b.cols && a.line == b.line &&
         a.step == b.step && a.batch == b.batch;
}

bool holds_its_lines(const matrix &m) {
  return m.rows > 0 && m.cols > 0 && m.batch > 0 && m.line >= (int64_t)m.rows;
}

bool fit(const operation &o, const algorithm &a) {
  uint64_t rows = o.left == CUBLAS_OP_N ? a.left.rows : a.left.cols;
  uint64_t inner = o.left == CUBLAS_OP_N ? a.left.cols : a.left.rows;
  uint64_t needed = o.right == CUBLAS_OP_N ? a.right.rows : a.right.cols;
  uint64_t cols = o.right == CUBLAS_OP_N ? a.right.cols : a.right.rows;
  return rows == a.out.rows && inner == needed && cols == a.out.cols &&
         a.left.batch == a.out.batch && a.right.batch == a.out.batch;
}

bool have_types(const operation &o, const algorithm &a) {
  bool wide = a.left.type == CUDA_R_32F && a.out.type == CUDA_R_32F;
  bool narrow =
      a.left.type == CUDA_R_16BF && (a.out.type == CUDA_R_16BF || a.out.type == CUDA_R_32F);
  return a.left.type == a.right.type && o.scale == CUDA_R_32F &&
         ((o.compute == CUBLAS_COMPUTE_32F && (wide || narrow)) ||
          (o.compute == CUBLAS_COMPUTE_32F_FAST_TF32 && wide));
}

bool is_power_of_two(uint32_t n) { return n > 0 && (n & (n - 1)) == 0; }

const char *wrong_with(const operation &o, const algorithm &a) {
  if (!holds_its_lines(a.left) || !holds_its_lines(a.right) || !holds_its_lines(a.out))
    return "a matrix has no room for its lines";
  if (!fit(o, a)) return "the matrices don't fit each other";
  if (!have_types(o, a)) return "there is no product of these types";
  if (o.epilogue != CUBLASLT_EPILOGUE_DEFAULT && o.epilogue != CUBLASLT_EPILOGUE_BIAS)
    return "it ends in something unknown";
  if (!is_power_of_two(a.left_alignment) || !is_power_of_two(a.right_alignment) ||
      !is_power_of_two(a.out_alignment))
    return "an alignment is none";
  return nullptr;
}

size_t size_of(cudaDataType_t type) { return type == CUDA_R_32F ? sizeof(float) : 2; }

bool is_placed(const matrix &m, const void *at, size_t alignment) {
  size_t last = (size_t)(m.batch - 1) * (size_t)m.step + (m.cols - 1) * (size_t)m.line + m.rows;
  return hollow_is_placed(at, last * size_of(m.type), alignment);
}

/* The bias has a number for each row, of the type of the result. */
bool has_bias(cublasLtMatmulDesc_t descriptor, const operation &o, const matrix &out) {
  const void *bias = nullptr;
  if (o.epilogue != CUBLASLT_EPILOGUE_BIAS) return true;
  return get(cublasLtMatmulDescGetAttribute, descriptor, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
             &bias) &&
         hollow_is_placed(bias, out.rows * size_of(out.type), BIAS_ALIGNMENT);
}

cublasStatus_t refuse(const char *call, const char *why) {
  hollow_refuse(call, why);
  return CUBLAS_STATUS_INVALID_VALUE;
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  *handle = new cublasLtContext{0};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor, cublasLtMatrixLayout_t left,
    cublasLtMatrixLayout_t right, cublasLtMatrixLayout_t before, cublasLtMatrixLayout_t out,
    cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t results[],
    int *found) {
  operation o;
  algorithm a;
  matrix added;
  *found = 0;
  if (fault_refuses("product")) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!handle || wanted < 1 || !read_operation(descriptor, &o) || !read_matrix(left, &a.left) ||
      !read_matrix(right, &a.right) || !read_matrix(out, &a.out) || !read_matrix(before, &added) ||
      !read_preference(preference, &a))
    return refuse("choosing an algorithm", "a descriptor lacks something");
  const char *wrong = is_same(added, a.out) ? wrong_with(o, a) : "nothing like it can be added to";
  if (wrong) return refuse("choosing an algorithm", wrong);
  hollow_count(HOLLOW_ALGORITHMS);
  algorithms.push_back(a);
  *results = {};
  results->algo.data[0] = algorithms.size();
  results->workspaceSize = a.workspace;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *,
                                                    cublasLtMatmulAlgoConfigAttributes_t name,
                                                    void *value, size_t bytes, size_t *written) {
  if (name != CUBLASLT_ALGO_CONFIG_SPLITK_NUM || bytes != sizeof PARTS)
    return refuse("asking about an algorithm", "only parts of sums are known");
  *(int32_t *)value = PARTS;
  *written = sizeof PARTS;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t descriptor,
                              const void *factor, const void *left, cublasLtMatrixLayout_t of_left,
                              const void *right, cublasLtMatrixLayout_t of_right, const void *kept,
                              const void *before, cublasLtMatrixLayout_t, void *out,
                              cublasLtMatrixLayout_t of_out, const cublasLtMatmulAlgo_t *chosen,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream) {
  operation o;
  matrix l, r, d;
  uint64_t place = chosen->data[0];
  if (!handle || !factor || !kept || place < 1 || place > algorithms.size())
    return refuse("a product", "something is missing");
  const algorithm &a = algorithms[place - 1];
  if (!read_operation(descriptor, &o) || !read_matrix(of_left, &l) || !read_matrix(of_right, &r) ||
      !read_matrix(of_out, &d) || !is_same(l, a.left) || !is_same(r, a.right) || !is_same(d, a.out))
    return refuse("a product", "its algorithm was chosen for another one");
  if (before != out || !is_placed(l, left, a.left_alignment) ||
      !is_placed(r, right, a.right_alignment) || !is_placed(d, out, a.out_alignment))
    return refuse("a product", "a matrix is not where, or aligned as, it should be");
  if (!has_bias(descriptor, o, d)) return refuse("a product", "its bias is not in place");
  if (workspace_bytes < a.workspace ||
      (workspace_bytes > 0 && !hollow_is_placed(workspace, workspace_bytes, WORKSPACE_ALIGNMENT)))
    return refuse("a product", "its workspace is not in place");
  hollow_count(HOLLOW_PRODUCTS);
  emulated_enqueue(stream, [] {});
  return CUBLAS_STATUS_SUCCESS;
}
