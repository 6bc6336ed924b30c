/* Attention: for each row and head, probabilities P = softmax(Q Kᵀ / sqrt(width)) and Y = P V.
 *
 * A thread works on one row and head at a time, in scratch of its own: its queries, keys and values
 * are copied out of the interleaved activations, because oneDNN multiplies matrices without gaps
 * faster by more than the copies cost. P is not kept: backward makes it again from the scores and
 * one saved number per query, the logarithm of its sum of exponentials. With dS the gradient of the
 * scores, D = rowsum(P ∘ dY Vᵀ) and dS = P ∘ (dY Vᵀ - D) / sqrt(width):
 * dV = Pᵀ dY, dQ = dS K, dK = dSᵀ Q. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "runtime/base/lanes.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/base/vexp.h"
#include "runtime/cpu/cpu.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"
#include "runtime/cpu/onednn_product.h"

typedef struct attention_kernel {
  pl_kernel head;
  int rows, heads, length, channels, width; /* channels: of all heads; width: of one */
  bool causal;
  pl_dtype type;
  int slots;                                                      /* threads */
  size_t sequence_bytes, matrix_bytes, product_bytes, slot_bytes; /* of scratch; see workspace */
  pl_dnn_product *scores;      /* (length, width) · (length, width)ᵀ, f32 */
  pl_dnn_product *mix;         /* (length, length) · (length, width) */
  pl_dnn_product *mix_columns; /* (length, length)ᵀ · (length, width) */
} attention_kernel;

/* One thread's scratch. In bf16 the probabilities and the gradient of the scores are rounded into
 * matrices of their own before they are multiplied; in f32 they replace what they come from. */
typedef struct workspace {
  void *q, *k, *v, *dy, *out; /* (length, width) */
  float *score, *slope;       /* (length, length): Q Kᵀ and dY Vᵀ */
  void *p, *ds;               /* (length, length) */
  void *product;
} workspace;

/* What one row and head is about. */
typedef struct unit {
  const attention_kernel *kernel;
  workspace w;
  int slot;
  size_t qkv, y, queries; /* first element of the unit in x, in y, and in `saved` */
} unit;

static const char *attention_supports(const pl_kernel_spec *spec) {
  if (spec->in_type == PL_BF16 && !pl_cpu_has_bf16())
    return "this processor does not multiply bf16";
  return pl_kernel_same_type(spec);
}

static void attention_destroy(pl_kernel *kernel) {
  attention_kernel *k = (attention_kernel *)kernel;
  pl_dnn_product_destroy(&k->scores);
  pl_dnn_product_destroy(&k->mix);
  pl_dnn_product_destroy(&k->mix_columns);
  pl_free(k);
}

static workspace workspace_of(const attention_kernel *k, void *scratch, int slot) {
  char *at = (char *)scratch + slot * k->slot_bytes;
  workspace w = {0};
  void **sequence[] = {&w.q, &w.k, &w.v, &w.dy, &w.out};
  for (int i = 0; i < 5; i++, at += k->sequence_bytes) *sequence[i] = at;
  w.score = (float *)(void *)at;
  w.slope = (float *)(void *)(at + k->matrix_bytes);
  w.p = k->type == PL_BF16 ? at + 2 * k->matrix_bytes : at;
  w.ds = (char *)w.p + k->matrix_bytes;
  w.product = at + (k->type == PL_BF16 ? 4 : 2) * k->matrix_bytes;
  return w;
}

/* Between a sequence without gaps and one whose positions lie `stride` elements apart. */
static void gather(const attention_kernel *k, const void *from, size_t first, int stride,
                   void *to) {
  size_t bytes = k->width * pl_dtype_bytes(k->type);
  for (int t = 0; t < k->length; t++)
    memcpy((char *)to + t * bytes, pl_at(k->type, from, first + (size_t)t * stride), bytes);
}

static void spread(const attention_kernel *k, const void *from, void *to, size_t first,
                   int stride) {
  size_t bytes = k->width * pl_dtype_bytes(k->type);
  for (int t = 0; t < k->length; t++)
    memcpy(pl_at(k->type, to, first + (size_t)t * stride), (const char *)from + t * bytes, bytes);
}

static void gather_qkv(const unit *u, const void *x) {
  const attention_kernel *k = u->kernel;
  void *const to[] = {u->w.q, u->w.k, u->w.v};
  for (int i = 0; i < 3; i++)
    gather(k, x, u->qkv + (size_t)i * k->channels, 3 * k->channels, to[i]);
}

static int seen(const attention_kernel *k, int query) { return k->causal ? query + 1 : k->length; }

static float largest_of(const float *values, int n) {
  float lane[PL_LANES];
  for (int i = 0; i < PL_LANES; i++) lane[i] = -INFINITY;
  for (int j = 0; j < n; j += PL_LANES) {
    int left = n - j < PL_LANES ? n - j : PL_LANES;
    for (int i = 0; i < left; i++) lane[i] = values[j + i] > lane[i] ? values[j + i] : lane[i];
  }
  float largest = lane[0];
  for (int i = 1; i < PL_LANES; i++) largest = lane[i] > largest ? lane[i] : largest;
  return largest;
}

/* Powers of two are cheaper than those of e: exp(s / sqrt(width)) = 2^(s * factor). */
static float factor_of(const attention_kernel *k) {
  return (float)(PL_LOG2_E / sqrt((double)k->width));
}

/* score[0..n) = 2^(score * factor - offset); gives their sum. */
static float exponentials(float *score, int n, float factor, float offset) {
  float lane[PL_LANES] = {0};
  int j = 0;
  for (; j + PL_LANES <= n; j += PL_LANES)
    for (int i = 0; i < PL_LANES; i++) {
      score[j + i] = pl_exp2f(score[j + i] * factor - offset);
      lane[i] += score[j + i];
    }
  for (int i = 0; j + i < n; i++) {
    score[j + i] = pl_exp2f(score[j + i] * factor - offset);
    lane[i] += score[j + i];
  }
  return pl_fold_f32(lane);
}

/* Probabilities of one query, and in *saved what they are made of again: p = 2^(s factor - saved).
 */
PL_INLINE void softmax(pl_dtype type, const attention_kernel *k, int query, float *score, void *p,
                       float *saved) {
  float factor = factor_of(k);
  int n = seen(k, query);
  float largest = largest_of(score, n) * factor;
  float sum = exponentials(score, n, factor, largest), share = 1.0F / sum;
#pragma omp simd
  for (int j = 0; j < n; j++) pl_put(type, p, j, score[j] * share);
  for (int j = n; j < k->length; j++) pl_put(type, p, j, 0);
  if (saved) *saved = largest + log2f(sum);
}

static pl_status forward_unit(const unit *u, const pl_kernel_args *args) {
  const attention_kernel *k = u->kernel;
  const workspace *w = &u->w;
  gather_qkv(u, args->x);
  PL_TRY(pl_dnn_product_run(k->scores, u->slot, w->q, w->k, w->score, w->product));
  for (int t = 0; t < k->length; t++) {
    float *score = w->score + (size_t)t * k->length;
    void *p = pl_at(k->type, w->p, (size_t)t * k->length);
    float *saved = args->saved ? (float *)args->saved + u->queries + t : NULL;
    if (k->type == PL_BF16)
      softmax(PL_BF16, k, t, score, p, saved);
    else
      softmax(PL_F32, k, t, score, p, saved);
  }
  PL_TRY(pl_dnn_product_run(k->mix, u->slot, w->p, w->v, w->out, w->product));
  spread(k, w->out, args->y, u->y, k->channels);
  return PL_OK;
}

static float dot(const float *a, const float *b, int n) {
  float lane[PL_LANES] = {0};
  int j = 0;
  for (; j + PL_LANES <= n; j += PL_LANES)
    for (int i = 0; i < PL_LANES; i++) lane[i] += a[j + i] * b[j + i];
  for (int i = 0; j + i < n; i++) lane[i] += a[j + i] * b[j + i];
  return pl_fold_f32(lane);
}

/* Probabilities and the gradient of the scores of one query, from its scores and slopes. */
PL_INLINE void softmax_backward(pl_dtype type, const attention_kernel *k, int query, float saved,
                                float *score, float *slope, void *p, void *ds) {
  int n = seen(k, query);
  float scale = (float)(1 / sqrt((double)k->width));
  exponentials(score, n, factor_of(k), saved);
  float along = dot(score, slope, n);
#pragma omp simd
  for (int j = 0; j < n; j++) {
    float probability = score[j];
    pl_put(type, ds, j, probability * (slope[j] - along) * scale);
    pl_put(type, p, j, probability);
  }
  for (int j = n; j < k->length; j++) {
    pl_put(type, ds, j, 0);
    pl_put(type, p, j, 0);
  }
}

static void softmaxes_backward(const unit *u, const float *saved) {
  const attention_kernel *k = u->kernel;
  const workspace *w = &u->w;
  for (int t = 0; t < k->length; t++) {
    size_t at = (size_t)t * k->length;
    void *p = pl_at(k->type, w->p, at), *ds = pl_at(k->type, w->ds, at);
    if (k->type == PL_BF16)
      softmax_backward(PL_BF16, k, t, saved[t], w->score + at, w->slope + at, p, ds);
    else
      softmax_backward(PL_F32, k, t, saved[t], w->score + at, w->slope + at, p, ds);
  }
}

static pl_status backward_unit(const unit *u, const pl_kernel_args *args) {
  const attention_kernel *k = u->kernel;
  const workspace *w = &u->w;
  gather_qkv(u, args->x);
  gather(k, args->dy, u->y, k->channels, w->dy);
  PL_TRY(pl_dnn_product_run(k->scores, u->slot, w->q, w->k, w->score, w->product));
  PL_TRY(pl_dnn_product_run(k->scores, u->slot, w->dy, w->v, w->slope, w->product));
  softmaxes_backward(u, (const float *)args->saved + u->queries);
  PL_TRY(pl_dnn_product_run(k->mix, u->slot, w->ds, w->k, w->out, w->product));
  spread(k, w->out, args->dx, u->qkv, 3 * k->channels);
  PL_TRY(pl_dnn_product_run(k->mix_columns, u->slot, w->ds, w->q, w->out, w->product));
  spread(k, w->out, args->dx, u->qkv + k->channels, 3 * k->channels);
  PL_TRY(pl_dnn_product_run(k->mix_columns, u->slot, w->p, w->dy, w->out, w->product));
  spread(k, w->out, args->dx, u->qkv + 2 * (size_t)k->channels, 3 * k->channels);
  return PL_OK;
}

/* Every row and head; the reason of a failure moves from the thread that failed to the caller. */
static pl_status over_units(const attention_kernel *k, const pl_kernel_args *args,
                            pl_status (*run)(const unit *, const pl_kernel_args *)) {
  pl_reason failure = {.code = PL_OK};
#pragma omp parallel for schedule(static) num_threads(k->slots)
  for (int i = 0; i < k->rows * k->heads; i++) {
    int slot = omp_get_thread_num();
    size_t first = (size_t)(i / k->heads) * k->length, head = (size_t)(i % k->heads) * k->width;
    unit u = {.kernel = k,
              .w = workspace_of(k, args->scratch, slot),
              .slot = slot,
              .qkv = first * 3 * k->channels + head,
              .y = first * k->channels + head,
              .queries = (size_t)i * k->length};
    if (run(&u, args) != PL_OK) {
#pragma omp critical(attention_failure)
      failure = *pl_last_reason();
    }
  }
  return failure.code == PL_OK ? PL_OK : pl_adopt_reason(&failure);
}

static pl_status attention_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  return over_units((attention_kernel *)kernel, args, forward_unit);
}

static pl_status attention_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  return args->dx ? over_units((attention_kernel *)kernel, args, backward_unit) : PL_OK;
}

static const pl_kernel_class attention_class = {.destroy = attention_destroy,
                                                .load = pl_kernel_load_nothing,
                                                .forward = attention_forward,
                                                .backward = attention_backward};

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static pl_status make_products(attention_kernel *k, bool training) {
  pl_dnn_product_spec scores = {.rows = k->length,
                                .inner = k->width,
                                .cols = k->length,
                                .right_transposed = true,
                                .type = k->type,
                                .out_type = PL_F32,
                                .slots = k->slots};
  pl_dnn_product_spec mix = {.rows = k->length,
                             .inner = k->length,
                             .cols = k->width,
                             .type = k->type,
                             .out_type = k->type,
                             .slots = k->slots};
  PL_TRY(pl_dnn_product_create(&scores, &k->scores));
  PL_TRY(pl_dnn_product_create(&mix, &k->mix));
  k->product_bytes =
      larger(pl_dnn_product_scratch_bytes(k->scores), pl_dnn_product_scratch_bytes(k->mix));
  if (!training) return PL_OK;
  mix.left_transposed = true;
  PL_TRY(pl_dnn_product_create(&mix, &k->mix_columns));
  k->product_bytes = larger(k->product_bytes, pl_dnn_product_scratch_bytes(k->mix_columns));
  return PL_OK;
}

static void fill_needs(const pl_kernel_spec *spec, attention_kernel *k, pl_kernel_needs *needs) {
  size_t square = (size_t)k->length * k->length;
  k->sequence_bytes = pl_align_up((size_t)k->length * k->width * pl_dtype_bytes(k->type));
  k->matrix_bytes = pl_align_up(square * sizeof(float));
  k->slot_bytes =
      5 * k->sequence_bytes + (k->type == PL_BF16 ? 4 : 2) * k->matrix_bytes + k->product_bytes;
  double product = 2.0 * k->rows * k->heads * (double)square * k->width;
  *needs = (pl_kernel_needs){.scratch_bytes = (size_t)k->slots * k->slot_bytes,
                             .backward_reads_x = spec->training,
                             .forward_flops = 2 * product,
                             .backward_flops = spec->training ? 5 * product : 0};
  if (spec->training) needs->saved_bytes = (size_t)k->rows * k->heads * k->length * sizeof(float);
}

static pl_status attention_prepare(const pl_kernel_spec *spec, pl_kernel **out,
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
                          .type = spec->in_type,
                          .slots = pl_threads_count()};
  pl_status status = make_products(k, spec->training);
  if (status != PL_OK) {
    attention_destroy(&k->head);
    return status;
  }
  fill_needs(spec, k, needs);
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_attention = {attention_supports, attention_prepare};
