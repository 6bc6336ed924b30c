/* Convolution. One of 1×1 mixes channels position by position, which is a matrix product; so is one
 * whose windows stand side by side (the patches of a vision transformer), once each is gathered
 * into a line: few channels, as images have, are not what cuDNN's fast kernels are made for, and
 * the weights' gradient is f32 without having been rounded. Others are cuDNN's, which wants weights
 * as (out, kernel, kernel, in) where the parameter is (out, in, kernel, kernel), and has no engine
 * that makes their gradient f32 from bf16: that is rounded once for each leaf. Where it has none at
 * all, these are products of gathered windows as well. */
#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/cuda/convolution.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"
#include "runtime/cuda/windows.h"

/* Of scratch for the lines of windows that overlap: enough work for a device at once. */
enum { MOST_LINES_BYTES = 128 << 20 };

typedef struct conv_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight; /* parameter */
  pl_dtype type;
  bool need_dx;
  size_t out_channels, in_channels, window; /* window: positions of one */
  pl_convolution *convolution;              /* NULL: it is a product */
  pl_device_values arranged;                /* weights as cuDNN wants them */
  pl_window_product product;
} conv_kernel;

static const char *conv_supports(const pl_kernel_spec *spec) {
  bool activations = spec->in_type == PL_F32 || spec->in_type == PL_BF16;
  if (!activations || spec->in_type != spec->out_type)
    return "convolution needs f32 or bf16, the same for input and output";
  return NULL;
}

static void conv_destroy(pl_kernel *kernel) {
  conv_kernel *k = (conv_kernel *)kernel;
  pl_window_product_free(&k->product);
  pl_convolution_destroy(&k->convolution);
  pl_device_values_free(&k->arranged);
  pl_free(k);
}

static pl_status conv_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  conv_kernel *k = (conv_kernel *)kernel;
  const void *values = pl_kernel_param(k->space, k->weight, image);
  if (!k->convolution) return pl_window_product_load(&k->product, values);
  pl_launch_channels_last(pl_cuda_stream(), k->type, k->arranged.array, values, k->out_channels,
                          k->in_channels, k->window);
  return pl_cuda_check("arranging weights", cudaGetLastError());
}

static pl_status conv_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  conv_kernel *k = (conv_kernel *)kernel;
  if (!k->convolution)
    return pl_window_product_forward(&k->product, args->x, args->y, args->scratch);
  return pl_convolution_forward(k->convolution, args->x, k->arranged.array, args->y, args->scratch);
}

static pl_status conv_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  conv_kernel *k = (conv_kernel *)kernel;
  if (!k->convolution)
    return pl_window_product_backward(&k->product, args->x, args->dy, args->add_dx, args->dx,
                                      args->dweight, args->scratch);
  void *dweight = args->scratch, *inner = (char *)args->scratch + pl_align_up(k->arranged.bytes);
  PL_TRY(pl_convolution_backward_weights(k->convolution, args->x, args->dy, dweight, inner));
  pl_launch_channels_first(pl_cuda_stream(), k->type, args->dweight, dweight, k->out_channels,
                           k->in_channels, k->window);
  PL_TRY(pl_cuda_check("arranging a gradient", cudaGetLastError()));
  if (!k->need_dx) return PL_OK;
  return pl_convolution_backward_data(k->convolution, args->dy, k->arranged.array, args->dx, inner);
}

static const pl_kernel_class conv_class = {
    .destroy = conv_destroy, .load = conv_load, .forward = conv_forward, .backward = conv_backward};

/* Leaves k->convolution NULL where cuDNN has no engine for it. */
static pl_status make_convolution(const pl_kernel_spec *spec, conv_kernel *k) {
  const pl_op *op = spec->op;
  size_t bytes = k->out_channels * k->in_channels * k->window * pl_dtype_bytes(k->type);
  pl_convolution_spec convolution = {.rows = spec->rows,
                                     .in = op->in_shape,
                                     .out = op->out_shape,
                                     .window = op->window,
                                     .type = k->type,
                                     .backward_data = spec->training && spec->need_dx,
                                     .backward_weights = spec->training,
                                     .tf32 = pl_cuda_tf32()};
  PL_TRY(pl_convolution_create(&convolution, &k->convolution));
  return k->convolution ? pl_device_values_create(bytes, &k->arranged) : PL_OK;
}

/* A plan without a device can't ask whether cuDNN has an engine: it counts what either way takes.
 */
static bool is_unknown(void) { return pl_account_is_planning() && !pl_cuda_is_open(); }

static pl_status make(const pl_kernel_spec *spec, conv_kernel *k) {
  pl_window window = spec->op->window;
  bool side_by_side = window.kernel == window.stride && window.pad == 0;
  if (!side_by_side) PL_TRY(make_convolution(spec, k));
  if (k->convolution && !is_unknown()) return PL_OK;
  return pl_window_product_create(spec, MOST_LINES_BYTES, &k->product);
}

static void fill_needs(const conv_kernel *k, pl_kernel_needs *needs) {
  size_t scratch = pl_window_product_scratch_bytes(&k->product);
  if (k->convolution) {
    size_t own = pl_align_up(k->arranged.bytes) + pl_convolution_scratch_bytes(k->convolution);
    if (own > scratch) scratch = own;
  }
  *needs =
      (pl_kernel_needs){.scratch_bytes = scratch,
                        .backward_reads_x = true,
                        .backward_adds_dx = !k->convolution && pl_window_product_adds(&k->product)};
}

static pl_status conv_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  size_t side = (size_t)spec->op->window.kernel;
  conv_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (conv_kernel){.head = {&conv_class},
                     .space = spec->space,
                     .weight = spec->op->weight,
                     .type = spec->in_type,
                     .need_dx = spec->need_dx,
                     .out_channels = (size_t)spec->op->out_shape.channels,
                     .in_channels = (size_t)spec->op->in_shape.channels,
                     .window = side * side};
  pl_status status = make(spec, k);
  if (status != PL_OK) {
    conv_destroy(&k->head);
    return status;
  }
  fill_needs(k, needs);
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cuda_conv = {conv_supports, conv_prepare};
