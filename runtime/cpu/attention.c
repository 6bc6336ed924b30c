/* Attention: for each row and head, probabilities P = softmax(Q Kᵀ / sqrt(width)) and Y = P V.
 *
 * A thread works on one row and a few of its heads at a time, in scratch of its own: their queries,
 * keys and values are copied out of the interleaved activations, because oneDNN multiplies matrices
 * without gaps faster by more than the copies cost. It is faster still, several times over on short
 * sequences, when the number of keys fills whole tiles, so zeros are put behind the last; rows of
 * scores are then whole lanes, too. P is not kept: backward makes it again from the scores and one
 * saved number per query, the logarithm of its sum of exponentials. With dS the gradient of the
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

/* Heads are taken together as long as their scratch stays within this, a part of the nearest large
 * cache. */
enum { GROUP_BYTES = 1 << 20 };

typedef struct attention_kernel {
  pl_kernel head;
  int rows, heads, length, channels, width; /* channels: of all heads; width: of one */
  int keys;                                 /* length, rounded up to whole lanes */
  int group;                                /* heads taken together; divides heads */
  bool causal;
  pl_dtype type;
  float scale, factor; /* of scores: 1 / sqrt(width), and that for powers of two */
  int slots;           /* threads */
  size_t sequence_bytes, matrix_bytes, product_bytes, slot_bytes; /* of scratch; see workspace */
  pl_dnn_product *scores;      /* (length, width) · (keys, width)ᵀ, f32 */
  pl_dnn_product *mix;         /* (length, keys) · (keys, width) */
  pl_dnn_product *mix_columns; /* (length, keys)ᵀ · (length, width) */
} attention_kernel;

/* One thread's scratch, each for a group of heads, one behind the other. In bf16 the probabilities
 * and the gradient of the scores are rounded into matrices of their own before they are multiplied;
 * in f32 they replace what they come from. */
typedef struct workspace {
  void *q, *dy;         /* (length, width) */
  void *k, *v, *out;    /* (keys, width); out may hold (length, width) */
  float *score, *slope; /* (length, keys): Q Kᵀ and dY Vᵀ */
  void *p, *ds;         /* (length, keys) */
  void *product;
} workspace;

/* What one row and group of heads is about. */
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
  void **sequence[] = {&w.q, &w.dy, &w.k, &w.v, &w.out};
  for (int i = 0; i < 5; i++, at += k->sequence_bytes) *sequence[i] = at;
  w.score = (float *)(void *)at;
  w.slope = (float *)(void *)(at + k->matrix_bytes);
  w.p = k->type == PL_BF16 ? at + 2 * k->matrix_bytes : at;
  w.ds = (char *)w.p + k->matrix_bytes;
  w.product = at + (k->type == PL_BF16 ? 4 : 2) * k->matrix_bytes;
  return w;
}

/* Bytes of one head's sequence of `length` or `keys` positions without gaps. */
static size_t head_bytes(const attention_kernel *k, int positions) {
  return (size_t)positions * k->width * pl_dtype_bytes(k->type);
}

/* From positions that lie `stride` elements apart, each with a group of heads, to one sequence of
 * `room` positions per head; places behind the last position are left alone. */
static void gather(const attention_kernel *k, const void *from, size_t first, int stride, void *to,
                   int room) {
  size_t bytes = head_bytes(k, 1), step = head_bytes(k, room);
  for (int t = 0; t < k->length; t++) {
    const char *f = pl_at(k->type, from, first + (size_t)t * stride);
    char *h = (char *)to + t * bytes;
    for (int i = 0; i < k->group; i++, f += bytes, h += step) memcpy(h, f, bytes);
  }
}

/* The reverse. */
static void spread(const attention_kernel *k, const void *from, int room, void *to, size_t first,
                   int stride) {
  size_t bytes = head_bytes(k, 1), step = head_bytes(k, room);
  for (int t = 0; t < k->length; t++) {
    char *f = pl_at(k->type, to, first + (size_t)t * stride);
    const char *h = (const char *)from + t * bytes;
    for (int i = 0; i < k->group; i++, f += bytes, h += step) memcpy(f, h, bytes);
  }
}

static void gather_qkv(const unit *u, const void *x) {
  const attention_kernel *k = u->kernel;
  int stride = 3 * k->channels;
  gather(k, x, u->qkv, stride, u->w.q, k->length);
  gather(k, x, u->qkv + k->channels, stride, u->w.k, k->keys);
  gather(k, x, u->qkv + 2 * (size_t)k->channels, stride, u->w.v, k->keys);
}

/* Zero keys and values behind the last, which gather leaves alone. */
static void clear_padding(const attention_kernel *k, const workspace *w) {
  size_t used = head_bytes(k, k->length), room = head_bytes(k, k->keys);
  for (int i = 0; i < k->group; i++) {
    memset((char *)w->k + i * room + used, 0, room - used);
    memset((char *)w->v + i * room + used, 0, room - used);
  }
}

static pl_status multiply(const unit *u, pl_dnn_product *product, const void *left,
                          const void *right, void *out) {
  return pl_dnn_product_run(product, u->slot, left, right, out, u->w.product);
}

static int seen(const attention_kernel *k, int query) { return k->causal ? query + 1 : k->length; }

static int whole_lanes(int n) { return (n + PL_LANES - 1) / PL_LANES * PL_LANES; }

/* Scores that the query does not see, up to a whole number of lanes, become nothing: 2^-∞. */
static void hide(float *score, int n) {
  for (int j = n; j < whole_lanes(n); j++) score[j] = -INFINITY;
}

/* Of `n` values, a whole number of lanes. */
static float largest_of(const float *values, int n) {
  float lane[PL_LANES];
  for (int i = 0; i < PL_LANES; i++) lane[i] = values[i];
  for (int j = PL_LANES; j < n; j += PL_LANES)
    for (int i = 0; i < PL_LANES; i++) lane[i] = values[j + i] > lane[i] ? values[j + i] : lane[i];
  for (int half = PL_LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) lane[i] = lane[i + half] > lane[i] ? lane[i + half] : lane[i];
  return lane[0];
}

/* score[0..n) = 2^(score * factor - offset), a whole number of lanes; gives their sum. */
static float exponentials(float *score, int n, float factor, float offset) {
  float lane[PL_LANES] = {0};
  for (int j = 0; j < n; j += PL_LANES)
    for (int i = 0; i < PL_LANES; i++) {
      score[j + i] = pl_exp2f(score[j + i] * factor - offset);
      lane[i] += score[j + i];
    }
  return pl_fold_f32(lane);
}

/* Probabilities of one query, and in *saved what they are made of again: p = 2^(s factor - saved).
 */
PL_INLINE void softmax(pl_dtype type, const attention_kernel *k, int query, float *score, void *p,
                       float *saved) {
  int n = whole_lanes(seen(k, query));
  hide(score, seen(k, query));
  float largest = largest_of(score, n) * k->factor;
  float sum = exponentials(score, n, k->factor, largest), share = 1.0F / sum;
#pragma omp simd
  for (int j = 0; j < n; j++) pl_put(type, p, j, score[j] * share);
  for (int j = n; j < k->keys; j++) pl_put(type, p, j, 0);
  if (saved) *saved = largest + log2f(sum);
}

static pl_status forward_unit(const unit *u, const pl_kernel_args *args) {
  const attention_kernel *k = u->kernel;
  const workspace *w = &u->w;
  gather_qkv(u, args->x);
  PL_TRY(multiply(u, k->scores, w->q, w->k, w->score));
  for (int i = 0; i < k->group * k->length; i++) {
    float *score = w->score + (size_t)i * k->keys;
    void *p = pl_at(k->type, w->p, (size_t)i * k->keys);
    float *saved = args->saved ? (float *)args->saved + u->queries + i : NULL;
    if (k->type == PL_BF16)
      softmax(PL_BF16, k, i % k->length, score, p, saved);
    else
      softmax(PL_F32, k, i % k->length, score, p, saved);
  }
  PL_TRY(multiply(u, k->mix, w->p, w->v, w->out));
  spread(k, w->out, k->length, args->y, u->y, k->channels);
  return PL_OK;
}

/* Of `n` terms, a whole number of lanes. */
static float dot(const float *a, const float *b, int n) {
  float lane[PL_LANES] = {0};
  for (int j = 0; j < n; j += PL_LANES)
    for (int i = 0; i < PL_LANES; i++) lane[i] += a[j + i] * b[j + i];
  return pl_fold_f32(lane);
}

/* Probabilities and the gradient of the scores of one query, from its scores and slopes. */
PL_INLINE void softmax_backward(pl_dtype type, const attention_kernel *k, int query, float saved,
                                float *score, const float *slope, void *p, void *ds) {
  int n = whole_lanes(seen(k, query));
  hide(score, seen(k, query));
  exponentials(score, n, k->factor, saved);
  float along = dot(score, slope, n), scale = k->scale;
#pragma omp simd
  for (int j = 0; j < n; j++) {
    float probability = score[j];
    pl_put(type, ds, j, probability * (slope[j] - along) * scale);
    pl_put(type, p, j, probability);
  }
  for (int j = n; j < k->keys; j++) {
    pl_put(type, ds, j, 0);
    pl_put(type, p, j, 0);
  }
}

static void softmaxes_backward(const unit *u, const float *saved) {
  const attention_kernel *k = u->kernel;
  const workspace *w = &u->w;
  for (int i = 0; i < k->group * k->length; i++) {
    size_t at = (size_t)i * k->keys;
    void *p = pl_at(k->type, w->p, at), *ds = pl_at(k->type, w->ds, at);
    if (k->type == PL_BF16)
      softmax_backward(PL_BF16, k, i % k->length, saved[i], w->score + at, w->slope + at, p, ds);
    else
      softmax_backward(PL_F32, k, i % k->length, saved[i], w->score + at, w->slope + at, p, ds);
  }
}

static pl_status backward_unit(const unit *u, const pl_kernel_args *args) {
  const attention_kernel *k = u->kernel;
  const workspace *w = &u->w;
  int stride = 3 * k->channels;
  gather_qkv(u, args->x);
  gather(k, args->dy, u->y, k->channels, w->dy, k->length);
  PL_TRY(multiply(u, k->scores, w->q, w->k, w->score));
  PL_TRY(multiply(u, k->scores, w->dy, w->v, w->slope));
  softmaxes_backward(u, (const float *)args->saved + u->queries);
  PL_TRY(multiply(u, k->mix, w->ds, w->k, w->out));
  spread(k, w->out, k->length, args->dx, u->qkv, stride);
  PL_TRY(multiply(u, k->mix_columns, w->ds, w->q, w->out));
  spread(k, w->out, k->keys, args->dx, u->qkv + k->channels, stride);
  PL_TRY(multiply(u, k->mix_columns, w->p, w->dy, w->out));
  spread(k, w->out, k->keys, args->dx, u->qkv + 2 * (size_t)k->channels, stride);
  return PL_OK;
}

/* Every row and group of heads; the reason of a failure moves from the thread that failed to the
 * caller. */
static pl_status over_units(const attention_kernel *k, const pl_kernel_args *args,
                            pl_status (*run)(const unit *, const pl_kernel_args *)) {
  pl_reason failure = {.code = PL_OK};
  int groups = k->heads / k->group;
#pragma omp parallel num_threads(k->slots)
  {
    int slot = omp_get_thread_num();
    workspace w = workspace_of(k, args->scratch, slot);
    clear_padding(k, &w);
#pragma omp for schedule(static)
    for (int i = 0; i < k->rows * groups; i++) {
      size_t first = (size_t)(i / groups) * k->length;
      size_t head = (size_t)(i % groups) * k->group * k->width;
      unit u = {.kernel = k,
                .w = w,
                .slot = slot,
                .qkv = first * 3 * k->channels + head,
                .y = first * k->channels + head,
                .queries = (size_t)i * k->group * k->length};
      if (run(&u, args) != PL_OK) {
#pragma omp critical(attention_failure)
        failure = *pl_last_reason();
      }
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
  pl_dnn_product_spec scores = {.count = k->group,
                                .rows = k->length,
                                .inner = k->width,
                                .cols = k->keys,
                                .right_transposed = true,
                                .type = k->type,
                                .out_type = PL_F32,
                                .slots = k->slots,
                                .threads = 1};
  pl_dnn_product_spec mix = {.count = k->group,
                             .rows = k->length,
                             .inner = k->keys,
                             .cols = k->width,
                             .type = k->type,
                             .out_type = k->type,
                             .slots = k->slots,
                             .threads = 1};
  PL_TRY(pl_dnn_product_create(&scores, &k->scores));
  PL_TRY(pl_dnn_product_create(&mix, &k->mix));
  k->product_bytes =
      larger(pl_dnn_product_scratch_bytes(k->scores), pl_dnn_product_scratch_bytes(k->mix));
  if (!training) return PL_OK;
  mix.rows = k->keys;
  mix.inner = k->length;
  mix.left_transposed = true;
  PL_TRY(pl_dnn_product_create(&mix, &k->mix_columns));
  k->product_bytes = larger(k->product_bytes, pl_dnn_product_scratch_bytes(k->mix_columns));
  return PL_OK;
}

/* Scratch of one thread for `group` heads, without what oneDNN needs. */
static size_t group_bytes(attention_kernel *k, int group) {
  k->sequence_bytes = pl_align_up(group * head_bytes(k, k->keys));
  k->matrix_bytes = pl_align_up((size_t)group * k->length * k->keys * sizeof(float));
  return 5 * k->sequence_bytes + (k->type == PL_BF16 ? 4 : 2) * k->matrix_bytes;
}

static void fill_needs(const pl_kernel_spec *spec, attention_kernel *k, pl_kernel_needs *needs) {
  k->slot_bytes = group_bytes(k, k->group) + k->product_bytes;
  *needs = (pl_kernel_needs){.scratch_bytes = (size_t)k->slots * k->slot_bytes,
                             .backward_reads_x = spec->training};
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
  k->keys = whole_lanes(k->length);
  k->scale = (float)(1 / sqrt((double)k->width));
  k->factor = (float)(PL_LOG2_E / sqrt((double)k->width));
  k->group = k->heads;
  while (k->group > 1 && (k->heads % k->group != 0 || group_bytes(k, k->group) > GROUP_BYTES))
    k->group--;
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
