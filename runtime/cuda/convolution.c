/* By cuDNN's classic interface. Of its algorithms for the gradients ALGO_1 is the one that adds in
 * a fixed order and takes channel-last activations. */
#include "runtime/cuda/convolution.h"

#include <cudnn.h>

#include "runtime/base/memory.h"
#include "runtime/cuda/engine.h"
#include "runtime/cuda/kernel.h"

enum { WORKSPACE_ALIGNMENT = 256 };

struct pl_convolution {
  pl_convolution_spec spec;
  cudnnTensorDescriptor_t in, out;
  cudnnFilterDescriptor_t weights;
  cudnnConvolutionDescriptor_t convolution;
  cudnnConvolutionFwdAlgo_t forward;
  size_t workspace_bytes; /* the most of all directions */
};

/* One handle for all plans: made with the first, given back with the last. */
static cudnnHandle_t handle;
static int plans;

static const cudnnConvolutionBwdDataAlgo_t data_algorithm = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
static const cudnnConvolutionBwdFilterAlgo_t weights_algorithm =
    CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

static pl_status check(const char *what, cudnnStatus_t status) {
  if (status == CUDNN_STATUS_SUCCESS) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "%s: cuDNN says: %s", what, cudnnGetErrorString(status));
}

static pl_status take_handle(void) {
  if (plans++ > 0) return PL_OK;
  PL_TRY(check("cuDNN", cudnnCreate(&handle)));
  return check("cuDNN", cudnnSetStream(handle, pl_cuda_stream()));
}

static void give_handle_back(void) {
  if (--plans > 0) return;
  if (handle) cudnnDestroy(handle);
  handle = NULL;
}

static cudnnDataType_t type_of(pl_dtype type) {
  return type == PL_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

static cudnnMathType_t math_of(const pl_convolution_spec *s) {
  return s->type == PL_BF16 || s->tf32 ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH;
}

static pl_status describe_images(const pl_convolution_spec *s, pl_shape shape,
                                 cudnnTensorDescriptor_t *out) {
  PL_TRY(check("describing images", cudnnCreateTensorDescriptor(out)));
  return check("describing images",
               cudnnSetTensor4dDescriptor(*out, CUDNN_TENSOR_NHWC, type_of(s->type), s->rows,
                                          shape.channels, shape.height, shape.width));
}

static pl_status describe(pl_convolution *c) {
  const pl_convolution_spec *s = &c->spec;
  pl_window w = s->window;
  PL_TRY(describe_images(s, s->in, &c->in));
  PL_TRY(describe_images(s, s->out, &c->out));
  PL_TRY(check("describing weights", cudnnCreateFilterDescriptor(&c->weights)));
  PL_TRY(check("describing weights",
               cudnnSetFilter4dDescriptor(c->weights, type_of(s->type), CUDNN_TENSOR_NHWC,
                                          s->out.channels, s->in.channels, w.kernel, w.kernel)));
  PL_TRY(check("describing a convolution", cudnnCreateConvolutionDescriptor(&c->convolution)));
  PL_TRY(check("describing a convolution",
               cudnnSetConvolution2dDescriptor(c->convolution, w.pad, w.pad, w.stride, w.stride, 1,
                                               1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT)));
  return check("describing a convolution", cudnnSetConvolutionMathType(c->convolution, math_of(s)));
}

/* The answer to how much workspace an algorithm wants; where it can't do the convolution, an error
 * that says which. */
static pl_status note_workspace(pl_convolution *c, const char *direction, cudnnStatus_t status,
                                size_t bytes) {
  if (status != CUDNN_STATUS_SUCCESS)
    return pl_no_convolution(&c->spec, direction, cudnnGetErrorString(status));
  if (bytes > c->workspace_bytes) c->workspace_bytes = bytes;
  return PL_OK;
}

/* The first is the fast one. */
static pl_status choose_forward(pl_convolution *c) {
  const cudnnConvolutionFwdAlgo_t choices[] = {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                                               CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM};
  cudnnStatus_t status = CUDNN_STATUS_NOT_SUPPORTED;
  size_t bytes = 0;
  for (size_t i = 0; i < sizeof choices / sizeof *choices && status != CUDNN_STATUS_SUCCESS; i++) {
    c->forward = choices[i];
    status = cudnnGetConvolutionForwardWorkspaceSize(handle, c->in, c->weights, c->convolution,
                                                     c->out, choices[i], &bytes);
  }
  return note_workspace(c, "the forward pass", status, bytes);
}

static pl_status choose_backward(pl_convolution *c) {
  size_t bytes = 0;
  if (c->spec.backward_data) {
    cudnnStatus_t status = cudnnGetConvolutionBackwardDataWorkspaceSize(
        handle, c->weights, c->out, c->convolution, c->in, data_algorithm, &bytes);
    PL_TRY(note_workspace(c, "the gradient of the input", status, bytes));
  }
  if (!c->spec.backward_weights) return PL_OK;
  cudnnStatus_t status = cudnnGetConvolutionBackwardFilterWorkspaceSize(
      handle, c->in, c->out, c->convolution, c->weights, weights_algorithm, &bytes);
  return note_workspace(c, "the gradient of the weights", status, bytes);
}

pl_status pl_convolution_create(const pl_convolution_spec *spec, pl_convolution **out) {
  pl_status status;
  pl_convolution *c = pl_alloc(1, sizeof *c);
  if (!c) return PL_E_INTERNAL;
  c->spec = *spec;
  PL_TRY_OR(failed, status, take_handle());
  PL_TRY_OR(failed, status, describe(c));
  PL_TRY_OR(failed, status, choose_forward(c));
  PL_TRY_OR(failed, status, choose_backward(c));
  *out = c;
  return PL_OK;
failed:
  pl_convolution_destroy(&c);
  return status;
}

void pl_convolution_destroy(pl_convolution **convolution) {
  pl_convolution *c = *convolution;
  if (!c) return;
  if (c->convolution) cudnnDestroyConvolutionDescriptor(c->convolution);
  if (c->weights) cudnnDestroyFilterDescriptor(c->weights);
  if (c->out) cudnnDestroyTensorDescriptor(c->out);
  if (c->in) cudnnDestroyTensorDescriptor(c->in);
  give_handle_back();
  pl_free(c);
  *convolution = NULL;
}

/* Scratch may begin at any multiple of PL_ALIGNMENT. */
size_t pl_convolution_scratch_bytes(const pl_convolution *convolution) {
  return convolution->workspace_bytes ? convolution->workspace_bytes + WORKSPACE_ALIGNMENT : 0;
}

static void *workspace_of(const pl_convolution *c, void *scratch) {
  if (c->workspace_bytes == 0) return NULL;
  uintptr_t over = (uintptr_t)scratch % WORKSPACE_ALIGNMENT;
  return over ? (char *)scratch + (WORKSPACE_ALIGNMENT - over) : scratch;
}

static const float one = 1, zero = 0;

pl_status pl_convolution_forward(const pl_convolution *c, const void *x, const void *weights,
                                 void *y, void *scratch) {
  return check("a convolution",
               cudnnConvolutionForward(handle, &one, c->in, x, c->weights, weights, c->convolution,
                                       c->forward, workspace_of(c, scratch), c->workspace_bytes,
                                       &zero, c->out, y));
}

pl_status pl_convolution_backward_data(const pl_convolution *c, const void *dy, const void *weights,
                                       void *dx, void *scratch) {
  return check("gradient of a convolution's input",
               cudnnConvolutionBackwardData(
                   handle, &one, c->weights, weights, c->out, dy, c->convolution, data_algorithm,
                   workspace_of(c, scratch), c->workspace_bytes, &zero, c->in, dx));
}

pl_status pl_convolution_backward_weights(const pl_convolution *c, const void *x, const void *dy,
                                          void *dweights, void *scratch) {
  return check("gradient of a convolution's weights",
               cudnnConvolutionBackwardFilter(handle, &one, c->in, x, c->out, dy, c->convolution,
                                              weights_algorithm, workspace_of(c, scratch),
                                              c->workspace_bytes, &zero, c->weights, dweights));
}
