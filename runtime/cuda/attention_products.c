/* Attention by products of whole matrices: in f32, and in bf16 for heads of a width that fused
 * kernels don't take.
 *
 * One head of all rows at a time: its queries, keys and values are read where they lie between
 * those of other heads, and scratch holds the (length, length) matrices of one head only. P is not
 * kept: backward makes it again from the scores and one saved number per query, the logarithm of
 * its sum of exponentials. With dS the gradient of the scores, D = rowsum(P ∘ dY Vᵀ) and dS = P ∘
 * (dY Vᵀ - D) / sqrt(width): dV = Pᵀ dY, dQ = dS K, dK = dSᵀ Q. */
#include <math.h>

#include "runtime/base/memory.h"
#include "runtime/base/vexp.h"
#include "runtime/cuda/attention.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"
#include "runtime/cuda/product.h"

/* Lines of scores are this many elements apart, or a multiple: 16 bytes of bf16, the least that
 * tensor cores are fed with. */
enum { LINE_UNIT = 8 };

typedef enum product_kind { SCORES, SLOPES, MIX, DQ, DK, DV, PRODUCTS } product_kind;

typedef struct attention_kernel {
  pl_kernel head;
  int rows, heads, length, channels, width; /* channels: of all heads; width: of one */
  int line;                                 /* elements from one query's scores to the next */
  bool causal;
  pl_dtype type;
  pl_product *product[PRODUCTS];
  size_t matrix_bytes, narrow_bytes; /* scratch of one f32 matrix per row, and of one in `type` */
} attention_kernel;

/* Scratch of a call, each matrix (rows, length, line). In bf16 the probabilities and the gradient
 * of the scores are rounded into matrices of their own; in f32 they replace what they come from. */
typedef struct workspace {
  float *score, *slope; /* Q Kᵀ and dY Vᵀ */
  void *p, *ds;
  void *product;
} workspace;

static void attention_destroy(pl_kernel *kernel) {
  attention_kernel *k = (attention_kernel *)kernel;
  for (int i = 0; i < PRODUCTS; i++) pl_product_destroy(&k->product[i]);
  pl_free(k);
}

static workspace workspace_of(const attention_kernel *k, void *scratch, bool backward) {
  char *at = scratch;
  workspace w = {0};
  w.score = (float *)(void *)at;
  at += k->matrix_bytes;
  if (backward) {
    w.slope = (float *)(void *)at;
    at += k->matrix_bytes;
  }
  w.p = k->type == PL_BF16 ? (void *)at : w.score;
  at += k->narrow_bytes;
  w.ds = w.slope;
  if (backward && k->type == PL_BF16) {
    w.ds = at;
    at += k->narrow_bytes;
  }
  w.product = at;
  return w;
}

/* Bytes before the first element of head `head`. */
static size_t before(const attention_kernel *k, int head) {
  return (size_t)head * k->width * pl_dtype_bytes(k->type);
}

/* The first query (0), key (1) or value (2) of a head. */
static const char *part_of(const attention_kernel *k, const void *qkv, int which, int head) {
  return (const char *)qkv + (size_t)which * k->channels * pl_dtype_bytes(k->type) +
         before(k, head);
}

static pl_softmax softmax_of(const attention_kernel *k, int head, const pl_kernel_args *args) {
  double root = sqrt((double)k->width);
  return (pl_softmax){
      .lines = (size_t)k->rows * k->length,
      .length = k->length,
      .line = k->line,
      .causal = k->causal,
      .scale = (float)(1 / root),
      .factor = (float)(PL_LOG2_E / root),
      .saved = args->saved ? (float *)args->saved + (size_t)head * k->rows * k->length : NULL};
}

static pl_status multiply(const attention_kernel *k, product_kind kind, const workspace *w,
                          const void *left, const void *right, void *out) {
  return pl_product_run(k->product[kind], left, right, out, w->product);
}

static pl_status head_forward(const attention_kernel *k, int head, const pl_kernel_args *args,
                              const workspace *w) {
  const char *q = part_of(k, args->x, 0, head), *key = part_of(k, args->x, 1, head);
  const char *v = part_of(k, args->x, 2, head);
  pl_softmax softmax = softmax_of(k, head, args);
  PL_TRY(multiply(k, SCORES, w, q, key, w->score));
  pl_launch_softmax(pl_cuda_stream(), k->type, &softmax, w->p, w->score);
  PL_TRY(pl_cuda_check("softmax of attention", cudaGetLastError()));
  return multiply(k, MIX, w, w->p, v, (char *)args->y + before(k, head));
}

static pl_status attention_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  attention_kernel *k = (attention_kernel *)kernel;
  workspace w = workspace_of(k, args->scratch, false);
  for (int head = 0; head < k->heads; head++) PL_TRY(head_forward(k, head, args, &w));
  return PL_OK;
}

static pl_status head_backward(const attention_kernel *k, int head, const pl_kernel_args *args,
                               const workspace *w) {
  const char *q = part_of(k, args->x, 0, head), *key = part_of(k, args->x, 1, head);
  const char *v = part_of(k, args->x, 2, head), *dy = (const char *)args->dy + before(k, head);
  pl_softmax softmax = softmax_of(k, head, args);
  PL_TRY(multiply(k, SCORES, w, q, key, w->score));
  PL_TRY(multiply(k, SLOPES, w, dy, v, w->slope));
  pl_launch_softmax_gradient(pl_cuda_stream(), k->type, &softmax, w->p, w->ds, w->score, w->slope);
  PL_TRY(pl_cuda_check("gradient of attention's softmax", cudaGetLastError()));
  char *dx = (char *)args->dx + before(k, head);
  size_t part = (size_t)k->channels * pl_dtype_bytes(k->type);
  PL_TRY(multiply(k, DQ, w, w->ds, key, dx));
  PL_TRY(multiply(k, DK, w, w->ds, q, dx + part));
  return multiply(k, DV, w, w->p, dy, dx + 2 * part);
}

static pl_status attention_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  attention_kernel *k = (attention_kernel *)kernel;
  if (!args->dx) return PL_OK;
  workspace w = workspace_of(k, args->scratch, true);
  for (int head = 0; head < k->heads; head++) PL_TRY(head_backward(k, head, args, &w));
  return PL_OK;
}

static const pl_kernel_class attention_class = {.destroy = attention_destroy,
                                                .load = pl_kernel_load_nothing,
                                                .forward = attention_forward,
                                                .backward = attention_backward};

/* One head of an activation whose positions are `stride` elements apart. */
static pl_product_matrix head_matrix(const attention_kernel *k, int stride) {
  return (pl_product_matrix){
      .line = stride, .step = (int64_t)k->length * stride, .placement = k->width};
}

static pl_status make_product(attention_kernel *k, product_kind kind) {
  pl_product_matrix qkv = head_matrix(k, 3 * k->channels), y = head_matrix(k, k->channels);
  pl_product_matrix square = {.line = k->line, .step = (int64_t)k->length * k->line};
  bool to_square = kind == SCORES || kind == SLOPES;
  pl_product_spec spec = {.batch = k->rows,
                          .rows = k->length,
                          .inner = to_square ? k->width : k->length,
                          .cols = to_square ? k->length : k->width,
                          .left = kind == SCORES   ? qkv
                                  : kind == SLOPES ? y
                                                   : square,
                          .right = kind == DV ? y : qkv,
                          .out = to_square     ? square
                                 : kind == MIX ? y
                                               : qkv,
                          .type = k->type,
                          .out_type = to_square ? PL_F32 : k->type,
                          .tf32 = pl_cuda_tf32()};
  spec.left.transposed = kind == DK || kind == DV;
  spec.right.transposed = to_square;
  return pl_product_create(&spec, &k->product[kind]);
}

static pl_status make_products(attention_kernel *k, bool training) {
  PL_TRY(make_product(k, SCORES));
  PL_TRY(make_product(k, MIX));
  if (!training) return PL_OK;
  PL_TRY(make_product(k, SLOPES));
  PL_TRY(make_product(k, DQ));
  PL_TRY(make_product(k, DK));
  return make_product(k, DV);
}

static void fill_needs(const pl_kernel_spec *spec, const attention_kernel *k,
                       pl_kernel_needs *needs) {
  size_t product_bytes = 0, matrices = k->matrix_bytes + k->narrow_bytes;
  for (int i = 0; i < PRODUCTS; i++) {
    size_t bytes = k->product[i] ? pl_product_scratch_bytes(k->product[i]) : 0;
    if (bytes > product_bytes) product_bytes = bytes;
  }
  *needs = (pl_kernel_needs){.scratch_bytes = (spec->training ? 2 : 1) * matrices + product_bytes,
                             .backward_reads_x = spec->training};
  if (spec->training) needs->saved_bytes = (size_t)k->rows * k->heads * k->length * sizeof(float);
}

pl_status pl_attention_products_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                        pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  attention_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (attention_kernel){.head = {&attention_class},
                          .rows = spec->rows,
                          .heads = op->heads,
                          .length = op->in_shape.height,
                          .channels = op->out_shape.channels,
                          .width = op->out_shape.channels / op->heads,
                          .causal = op->causal,
                          .type = spec->in_type};
  k->line = (k->length + LINE_UNIT - 1) / LINE_UNIT * LINE_UNIT;
  size_t elements = (size_t)k->rows * k->length * k->line;
  k->matrix_bytes = pl_align_up(elements * sizeof(float));
  if (k->type == PL_BF16) k->narrow_bytes = pl_align_up(elements * pl_dtype_bytes(k->type));
  pl_status status = make_products(k, spec->training);
  if (status != PL_OK) {
    attention_destroy(&k->head);
    return status;
  }
  fill_needs(spec, k, needs);
  *out = &k->head;
  return PL_OK;
}
