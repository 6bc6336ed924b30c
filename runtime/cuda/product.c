#include "runtime/cuda/product.h"

#include "runtime/base/account.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/engine.h"
#include "runtime/cuda/kernel.h"

/* Room to split sums in parts. It is scratch that all kernels share. */
enum { WORKSPACE_ALIGNMENT = 256, MOST_WORKSPACE = PL_PRODUCT_MOST_SCRATCH - WORKSPACE_ALIGNMENT };

struct pl_product {
  pl_product_spec spec;
  cublasLtMatmulDesc_t operation;
  cublasLtMatrixLayout_t left, right, out;
  cublasLtMatmulAlgo_t algorithm;
  size_t workspace_bytes;
};

static pl_status check(const char *what, cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "%s: cuBLASLt says: %s", what, cublasLtGetStatusString(status));
}

static cudaDataType type_of(pl_dtype type) { return type == PL_BF16 ? CUDA_R_16BF : CUDA_R_32F; }

static pl_status set_operation(cublasLtMatmulDesc_t operation,
                               cublasLtMatmulDescAttributes_t attribute, const void *value,
                               size_t bytes) {
  return check("describing a product",
               cublasLtMatmulDescSetAttribute(operation, attribute, value, bytes));
}

/* cuBLASLt takes matrices column by column. A matrix stored row by row is the transpose of one
 * stored so, and outᵀ = rightᵀ · leftᵀ: the two change places, and nothing is moved. */
static pl_status describe_operation(pl_product *p) {
  const pl_product_spec *s = &p->spec;
  cublasComputeType_t compute =
      s->type == PL_F32 && s->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  PL_TRY(
      check("describing a product", cublasLtMatmulDescCreate(&p->operation, compute, CUDA_R_32F)));
  cublasOperation_t first = s->right.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  cublasOperation_t second = s->left.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  PL_TRY(set_operation(p->operation, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first));
  PL_TRY(set_operation(p->operation, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second));
  if (!s->bias) return PL_OK;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
  return set_operation(p->operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
}

/* A matrix that is stored as (lines, length), row by row. */
static pl_status describe_matrix(const pl_product *p, const pl_product_matrix *m, pl_dtype type,
                                 int lines, int length, cublasLtMatrixLayout_t *out) {
  PL_TRY(check(
      "describing a matrix",
      cublasLtMatrixLayoutCreate(out, type_of(type), (uint64_t)length, (uint64_t)lines, m->line)));
  int32_t batch = p->spec.batch;
  int64_t step = m->step;
  PL_TRY(check("describing a matrix",
               cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                                sizeof batch)));
  return check("describing a matrix",
               cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                &step, sizeof step));
}

static pl_status describe_matrices(pl_product *p) {
  const pl_product_spec *s = &p->spec;
  bool left = s->left.transposed, right = s->right.transposed;
  PL_TRY(describe_matrix(p, &s->left, s->type, left ? s->inner : s->rows, left ? s->rows : s->inner,
                         &p->left));
  PL_TRY(describe_matrix(p, &s->right, s->type, right ? s->cols : s->inner,
                         right ? s->inner : s->cols, &p->right));
  return describe_matrix(p, &s->out, s->out_type, s->rows, s->cols, &p->out);
}

static pl_status prefer(cublasLtMatmulPreference_t preference,
                        cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                        size_t bytes) {
  return check("choosing an algorithm",
               cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, bytes));
}

static pl_status set_preferences(const pl_product_spec *s, cublasLtMatmulPreference_t preference) {
  uint64_t workspace = MOST_WORKSPACE;
  uint32_t left = (uint32_t)pl_product_alignment(&s->left, s->type);
  uint32_t right = (uint32_t)pl_product_alignment(&s->right, s->type);
  uint32_t out = (uint32_t)pl_product_alignment(&s->out, s->out_type);
  PL_TRY(
      prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace));
  PL_TRY(prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &right, sizeof right));
  PL_TRY(prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &left, sizeof left));
  PL_TRY(prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &out, sizeof out));
  return prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &out, sizeof out);
}

/* The best algorithm whose sums are split by one of `schemes`, or not at all. */
static pl_status ask(const pl_product *p, cublasLtMatmulPreference_t preference, uint32_t schemes,
                     cublasLtMatmulHeuristicResult_t *best) {
  int found = 0;
  PL_TRY(prefer(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes));
  cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
      pl_cuda_blas(), p->operation, p->right, p->left, p->out, p->out, preference, 1, best, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0))
    return pl_no_product(&p->spec);
  PL_TRY(check("choosing an algorithm", status));
  return check("choosing an algorithm", best->state);
}

/* cuBLASLt 12.8 and 13.1 are known to leave out the end of a split sum, what is behind its last
 * whole step, if there are more parts than that has terms. Steps are powers of two; which one, an
 * algorithm does not tell. */
static bool may_leave_out(int inner, int32_t parts) {
  for (int step = 8; step <= 256; step *= 2) {
    int end = inner % step;
    if (end != 0 && end < parts) return true;
  }
  return false;
}

/* Sums may be split only where the parts are kept in f32 and added by a pass of its own: in a fixed
 * order, and rounded once. */
static pl_status choose(pl_product *p, cublasLtMatmulPreference_t preference) {
  cublasLtMatmulHeuristicResult_t best;
  int32_t parts = 1;
  size_t bytes;
  PL_TRY(set_preferences(&p->spec, preference));
  PL_TRY(ask(p, preference, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, &best));
  PL_TRY(check("choosing an algorithm",
               cublasLtMatmulAlgoConfigGetAttribute(&best.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM,
                                                    &parts, sizeof parts, &bytes)));
  if (may_leave_out(p->spec.inner, parts))
    PL_TRY(ask(p, preference, CUBLASLT_REDUCTION_SCHEME_NONE, &best));
  p->algorithm = best.algo;
  p->workspace_bytes = best.workspaceSize;
  return PL_OK;
}

static pl_status choose_algorithm(pl_product *p) {
  cublasLtMatmulPreference_t preference = NULL;
  PL_TRY(check("choosing an algorithm", cublasLtMatmulPreferenceCreate(&preference)));
  pl_status status = choose(p, preference);
  cublasLtMatmulPreferenceDestroy(preference);
  return status;
}

pl_status pl_product_create(const pl_product_spec *spec, pl_product **out) {
  pl_status status;
  pl_product *p = pl_alloc(1, sizeof *p);
  if (!p) return PL_E_INTERNAL;
  p->spec = *spec;
  if (pl_account_is_planning() && !pl_cuda_is_open()) {
    p->workspace_bytes = MOST_WORKSPACE;
    *out = p;
    return PL_OK;
  }
  PL_TRY_OR(failed, status, describe_operation(p));
  PL_TRY_OR(failed, status, describe_matrices(p));
  PL_TRY_OR(failed, status, choose_algorithm(p));
  *out = p;
  return PL_OK;
failed:
  pl_product_destroy(&p);
  return status;
}

void pl_product_destroy(pl_product **product) {
  pl_product *p = *product;
  if (!p) return;
  if (p->out) cublasLtMatrixLayoutDestroy(p->out);
  if (p->right) cublasLtMatrixLayoutDestroy(p->right);
  if (p->left) cublasLtMatrixLayoutDestroy(p->left);
  if (p->operation) cublasLtMatmulDescDestroy(p->operation);
  pl_free(p);
  *product = NULL;
}

pl_status pl_product_set_bias(pl_product *product, const void *bias) {
  return set_operation(product->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
}

size_t pl_product_scratch_bytes(const pl_product *product) {
  return product->workspace_bytes ? product->workspace_bytes + WORKSPACE_ALIGNMENT : 0;
}

static void *aligned(void *scratch) {
  uintptr_t at = (uintptr_t)scratch, over = at % WORKSPACE_ALIGNMENT;
  return over ? (char *)scratch + (WORKSPACE_ALIGNMENT - over) : scratch;
}

/* out = left · right + kept · out */
static pl_status run(const pl_product *product, const void *left, const void *right, float kept,
                     void *out, void *scratch) {
  const float one = 1;
  void *workspace = product->workspace_bytes ? aligned(scratch) : NULL;
  return check(
      "a matrix product",
      cublasLtMatmul(pl_cuda_blas(), product->operation, &one, right, product->right, left,
                     product->left, &kept, out, product->out, out, product->out,
                     &product->algorithm, workspace, product->workspace_bytes, pl_cuda_stream()));
}

pl_status pl_product_run(const pl_product *product, const void *left, const void *right, void *out,
                         void *scratch) {
  return run(product, left, right, 0, out, scratch);
}

pl_status pl_product_add(const pl_product *product, const void *left, const void *right, void *out,
                         void *scratch) {
  PL_INVARIANT(!product->spec.bias);
  return run(product, left, right, 1, out, scratch);
}
