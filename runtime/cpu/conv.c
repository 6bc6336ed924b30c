/* Convolution: oneDNN's, on activations arranged so that it is fast (arrange.h). */
#include "runtime/base/memory.h"
#include "runtime/cpu/arrange.h"
#include "runtime/cpu/cpu.h"
#include "runtime/cpu/kernel.h"
#include "runtime/cpu/onednn.h"

typedef enum arrangement { AS_THEY_ARE, IN_STRIPS, PICKED, TILED } arrangement;

typedef struct conv_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight; /* parameter */
  arrangement arrangement;
  pl_strips x_strips, y_strips; /* IN_STRIPS */
  pl_picks picks;               /* PICKED */
  pl_tiles tiles;               /* TILED */
  size_t x_bytes, y_bytes;      /* of arranged copies; 0 where there is none */
  pl_dnn_conv *forward, *backward_data, *backward_weights;
} conv_kernel;

static const char *conv_supports(const pl_kernel_spec *spec) {
  if (spec->in_type != spec->out_type || spec->in_type == PL_U8)
    return "convolution needs f32 or bf16, the same for input and output";
  if (spec->in_type == PL_BF16 && !pl_cpu_has_bf16())
    return "this processor does not multiply bf16";
  return NULL;
}

static void conv_destroy(pl_kernel *kernel) {
  conv_kernel *k = (conv_kernel *)kernel;
  pl_dnn_conv_destroy(&k->forward);
  pl_dnn_conv_destroy(&k->backward_data);
  pl_dnn_conv_destroy(&k->backward_weights);
  pl_free(k);
}

/* A 1×1 convolution mixes channels position by position, so all positions may as well be one line.
 */
static void as_one_line(pl_dnn_conv_spec *conv, int rows, int in_channels, pl_shape out) {
  int positions = rows * out.height * out.width;
  conv->rows = 1;
  conv->in = (pl_shape){1, positions, in_channels};
  conv->out = (pl_shape){1, positions, out.channels};
  conv->window = (pl_window){.kernel = 1, .stride = 1};
}

/* The patches of a vision transformer: all that a window holds are channels of one position. */
static void arrange_tiles(const pl_kernel_spec *spec, conv_kernel *k, pl_dnn_conv_spec *conv) {
  const pl_op *op = spec->op;
  int channels = op->in_shape.channels * op->window.kernel * op->window.kernel;
  k->arrangement = TILED;
  k->tiles = (pl_tiles){.rows = spec->rows,
                        .side = op->window.kernel,
                        .in = op->in_shape,
                        .down = op->out_shape.height,
                        .across = op->out_shape.width,
                        .element = pl_dtype_bytes(spec->in_type)};
  as_one_line(conv, spec->rows, channels, op->out_shape);
  k->x_bytes = (size_t)conv->in.width * channels * k->tiles.element;
}

/* Chooses the arrangement and describes the convolution that is left to do. Strips pay where the
 * tiles of AMX do the work; in f32 they gained in some directions and lost in others. */
static pl_dnn_conv_spec arrange(const pl_kernel_spec *spec, conv_kernel *k) {
  const pl_op *op = spec->op;
  size_t element = pl_dtype_bytes(spec->in_type);
  pl_dnn_conv_spec conv = {.rows = spec->rows,
                           .in = op->in_shape,
                           .out = op->out_shape,
                           .window = op->window,
                           .type = spec->in_type};
  bool pointwise = op->window.kernel == 1 && op->window.pad == 0;
  if (pointwise && op->window.stride > 1) {
    k->arrangement = PICKED;
    k->picks =
        (pl_picks){spec->rows, op->window.stride, op->in_shape, op->out_shape, .element = element};
    k->x_bytes = (size_t)spec->rows * op->out_shape.height * op->out_shape.width *
                 op->in_shape.channels * element;
  }
  if (pointwise) {
    as_one_line(&conv, spec->rows, op->in_shape.channels, op->out_shape);
  } else if (op->window.kernel == op->window.stride && op->window.pad == 0) {
    arrange_tiles(spec, k, &conv);
  } else if (spec->in_type == PL_BF16 &&
             pl_strips_plan(spec->rows, op->in_shape, op->out_shape, op->window, element,
                            &k->x_strips, &k->y_strips)) {
    k->arrangement = IN_STRIPS;
    k->x_bytes = pl_strips_bytes(&k->x_strips);
    k->y_bytes = pl_strips_bytes(&k->y_strips);
    conv.rows = k->x_strips.strips;
    conv.in = pl_strips_shape(&k->x_strips);
    conv.out = pl_strips_shape(&k->y_strips);
  }
  return conv;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static void fill_needs(const conv_kernel *k, pl_kernel_needs *needs) {
  size_t scratch = pl_dnn_conv_scratch_bytes(k->forward);
  if (k->backward_data) scratch = larger(scratch, pl_dnn_conv_scratch_bytes(k->backward_data));
  if (k->backward_weights)
    scratch = larger(scratch, pl_dnn_conv_scratch_bytes(k->backward_weights));
  *needs = (pl_kernel_needs){
      .scratch_bytes = pl_align_up(k->x_bytes) + pl_align_up(k->y_bytes) + scratch,
      .backward_reads_x = true};
}

/* x or dy as the convolution wants it, in scratch where that takes a copy. */
static const void *arranged_x(const conv_kernel *k, const pl_kernel_args *args) {
  if (k->arrangement == AS_THEY_ARE) return args->x;
  if (k->arrangement == IN_STRIPS) pl_strips_pack(&k->x_strips, args->x, args->scratch);
  if (k->arrangement == PICKED) pl_picks_gather(&k->picks, args->x, args->scratch);
  if (k->arrangement == TILED) pl_tiles_gather(&k->tiles, args->x, args->scratch);
  return args->scratch;
}

static void *y_place(const conv_kernel *k, const pl_kernel_args *args) {
  return (char *)args->scratch + pl_align_up(k->x_bytes);
}

static void *inner_scratch(const conv_kernel *k, const pl_kernel_args *args) {
  return (char *)y_place(k, args) + pl_align_up(k->y_bytes);
}

static pl_status conv_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  conv_kernel *k = (conv_kernel *)kernel;
  const void *weights = pl_kernel_param(k->space, k->weight, image);
  PL_TRY(pl_dnn_conv_load(k->forward, weights));
  return k->backward_data ? pl_dnn_conv_load(k->backward_data, weights) : PL_OK;
}

static pl_status conv_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  conv_kernel *k = (conv_kernel *)kernel;
  const void *x = arranged_x(k, args);
  void *y = k->arrangement == IN_STRIPS ? y_place(k, args) : args->y;
  PL_TRY(pl_dnn_conv_forward(k->forward, x, y, inner_scratch(k, args)));
  if (k->arrangement == IN_STRIPS) pl_strips_unpack(&k->y_strips, y, args->y);
  return PL_OK;
}

static pl_status conv_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  conv_kernel *k = (conv_kernel *)kernel;
  void *inner = inner_scratch(k, args);
  const void *dy = args->dy;
  if (k->arrangement == IN_STRIPS) {
    pl_strips_pack(&k->y_strips, args->dy, y_place(k, args));
    dy = y_place(k, args);
  }
  const void *x = arranged_x(k, args);
  PL_TRY(pl_dnn_conv_backward_weights(k->backward_weights, x, dy, args->dweight, inner));
  if (!k->backward_data) return PL_OK;
  /* The arranged x has done its work; dx takes its place. */
  void *dx = k->arrangement == AS_THEY_ARE ? args->dx : args->scratch;
  PL_TRY(pl_dnn_conv_backward_data(k->backward_data, dy, dx, inner));
  if (k->arrangement == IN_STRIPS) pl_strips_unpack(&k->x_strips, dx, args->dx);
  if (k->arrangement == PICKED) pl_picks_spread(&k->picks, dx, args->dx);
  if (k->arrangement == TILED) pl_tiles_spread(&k->tiles, dx, args->dx);
  return PL_OK;
}

static const pl_kernel_class conv_class = {
    .destroy = conv_destroy, .load = conv_load, .forward = conv_forward, .backward = conv_backward};

static pl_status conv_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  pl_status status;
  conv_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  k->head.class = &conv_class;
  k->space = spec->space;
  k->weight = spec->op->weight;
  pl_dnn_conv_spec conv = arrange(spec, k);
  PL_TRY_OR(failed, status, pl_dnn_conv_create(&conv, PL_DNN_FORWARD, &k->forward));
  if (spec->training)
    PL_TRY_OR(failed, status,
              pl_dnn_conv_create(&conv, PL_DNN_BACKWARD_WEIGHTS, &k->backward_weights));
  if (spec->training && spec->need_dx)
    PL_TRY_OR(failed, status, pl_dnn_conv_create(&conv, PL_DNN_BACKWARD_DATA, &k->backward_data));
  fill_needs(k, needs);
  *out = &k->head;
  return PL_OK;
failed:
  conv_destroy(&k->head);
  return status;
}

const pl_kernel_maker pl_cpu_conv = {conv_supports, conv_prepare};
