/* By cuDNN's classic interface. Of its algorithms for the gradients ALGO_1 is the one that adds in
 * a fixed order and takes channel-last activations. */
#include "runtime/cuda/convolution.h"

#include <cudnn.h>

#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/engine.h"
#include "runtime/cuda/kernel.h"

/* More than that is not taken where another algorithm does with less. It is scratch that all
 * kernels share. */
enum { MOST_WORKSPACE = 64 << 20, WORKSPACE_ALIGNMENT = 256 };

struct pl_convolution {
  pl_convolution_spec spec;
  cudnnTensorDescriptor_t in, out;
  cudnnFilterDescriptor_t weights;
  cudnnConvolutionDescriptor_t convolution;
  cudnnConvolutionFwdAlgo_t forward;
  size_t workspace_bytes; /* the most of all directions */
  bool has_handle;
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

static pl_status take_handle(pl_convolution *c) {
  c->has_handle = true;
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
  return check("describing a convolution",
               cudnnSetConvolution2dDescriptor(c->convolution, w.pad, w.pad, w.stride, w.stride, 1,
                                               1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
}

/* ---- what cuDNN can do ----
 *
 * Asking for an algorithm's workspace also asks whether there is an engine. */

typedef struct answer {
  const char *direction; /* that it was asked for last */
  cudnnStatus_t status;
} answer;

/* The first is the fast one, the last does without a workspace. */
static void ask_forward(pl_convolution *c, answer *a) {
  const cudnnConvolutionFwdAlgo_t choices[] = {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM,
                                               CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM};
  *a = (answer){"the forward pass", CUDNN_STATUS_NOT_SUPPORTED};
  for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
    size_t bytes = 0;
    cudnnStatus_t status = cudnnGetConvolutionForwardWorkspaceSize(
        handle, c->in, c->weights, c->convolution, c->out, choices[i], &bytes);
    bool has_one = a->status == CUDNN_STATUS_SUCCESS;
    if (has_one && (status != a->status || bytes >= c->workspace_bytes)) continue;
    c->forward = choices[i];
    a->status = status;
    c->workspace_bytes = bytes;
    if (status == CUDNN_STATUS_SUCCESS && bytes <= MOST_WORKSPACE) break;
  }
}

static void note_workspace(pl_convolution *c, size_t bytes) {
  if (bytes > c->workspace_bytes) c->workspace_bytes = bytes;
}

static void ask_all(pl_convolution *c, answer *a) {
  size_t bytes = 0;
  ask_forward(c, a);
  if (c->spec.backward_data && a->status == CUDNN_STATUS_SUCCESS) {
    a->direction = "the gradient of the input";
    a->status = cudnnGetConvolutionBackwardDataWorkspaceSize(
        handle, c->weights, c->out, c->convolution, c->in, data_algorithm, &bytes);
    note_workspace(c, bytes);
  }
  if (c->spec.backward_weights && a->status == CUDNN_STATUS_SUCCESS) {
    a->direction = "the gradient of the weights";
    a->status = cudnnGetConvolutionBackwardFilterWorkspaceSize(
        handle, c->in, c->out, c->convolution, c->weights, weights_algorithm, &bytes);
    note_workspace(c, bytes);
  }
}

/* The kinds of arithmetic that do, the likeliest in front; their number. Some shapes have engines
 * of one kind only. Tensor cores are the default as well, for which f32 is rounded. */
static int kinds_of_math(const pl_convolution_spec *s, cudnnMathType_t kinds[2]) {
  bool narrow = s->type == PL_BF16;
  kinds[0] = narrow ? CUDNN_TENSOR_OP_MATH : CUDNN_DEFAULT_MATH;
  kinds[1] = narrow ? CUDNN_DEFAULT_MATH : CUDNN_TENSOR_OP_MATH;
  if (narrow || s->tf32) return 2;
  kinds[0] = CUDNN_FMA_MATH;
  return 1;
}

static pl_status choose(pl_convolution *c, answer *a) {
  cudnnMathType_t kinds[2];
  int count = kinds_of_math(&c->spec, kinds);
  a->status = CUDNN_STATUS_NOT_SUPPORTED;
  for (int i = 0; i < count && a->status != CUDNN_STATUS_SUCCESS; i++) {
    PL_TRY(
        check("describing a convolution", cudnnSetConvolutionMathType(c->convolution, kinds[i])));
    ask_all(c, a);
  }
  return PL_OK;
}

pl_status pl_convolution_create(const pl_convolution_spec *spec, pl_convolution **out) {
  pl_status status;
  answer a;
  pl_convolution *c = pl_alloc(1, sizeof *c);
  if (!c) return PL_E_INTERNAL;
  c->spec = *spec;
  if (pl_account_is_planning() && !pl_cuda_is_open()) {
    c->workspace_bytes = MOST_WORKSPACE;
    *out = c;
    return PL_OK;
  }
  PL_TRY_OR(done, status, take_handle(c));
  PL_TRY_OR(done, status, describe(c));
  PL_TRY_OR(done, status, choose(c, &a));
  if (a.status == CUDNN_STATUS_SUCCESS) {
    *out = c;
    c = NULL;
  } else {
    pl_no_convolution(spec, a.direction, cudnnGetErrorString(a.status));
  }
done:
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
  if (c->has_handle) give_handle_back();
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
