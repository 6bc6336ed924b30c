/* The handle that runtime/cuda/device.c makes; products themselves are
 * tests/emulation/product.cc. */
#ifndef TESTS_EMULATION_CUBLASLT_H
#define TESTS_EMULATION_CUBLASLT_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cublasLtContext *cublasLtHandle_t;
typedef enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1
} cublasStatus_t;

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle);
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle);
const char *cublasLtGetStatusString(cublasStatus_t status);

#ifdef __cplusplus
}
#endif

#endif
