#include "models/softmax.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "losses/tile_product.h"
#include "runtime/base/lanes.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/base/vexp.h"

/* A tile: so many rows of the batch in the scores, so many dimensions in the gradient. */
enum { TILE = 64 };

struct pl_softmax {
  pl_softmax_options options;
  int threads;
  int64_t n;               /* rows of the batch taken */
  int row_tiles, columns;  /* of a whole batch; tiles of dimensions */
  int stride;              /* width, rounded up to tiles */
  size_t parameters;       /* of a member: weights, biases, zeros up to whole tiles */
  pl_tile_product *scores; /* (classes, stride) times rows of a tile */
  pl_tile_product *slopes; /* (classes, batch) times dimensions of a tile */
  float *value, *velocity; /* (members, parameters) */
  float *error;            /* (members, classes, row_tiles·TILE): of the scores */
  float *by_row;           /* (row_tiles, TILE, stride): the batch, zeros after its last row */
  char *packed_rows, *packed_columns; /* its tiles as the products want them */
  float *column;                      /* (threads, row_tiles·TILE, TILE): a tile of dimensions */
  float *scratch;                     /* (threads, classes, TILE) */
};

/* A tile of one member's work, by one thread. */
typedef pl_status (*tile_work)(pl_softmax *s, int slot, int member, int tile, void *context);

static pl_status for_each(pl_softmax *s, int first_member, int end_member, int tiles,
                          tile_work work, void *context) {
  pl_reason failure = {.code = PL_OK};
#pragma omp parallel for schedule(dynamic, 1) num_threads(s->threads) collapse(2)
  for (int member = first_member; member < end_member; member++)
    for (int tile = 0; tile < tiles; tile++) {
      if (work(s, omp_get_thread_num(), member, tile, context) == PL_OK) continue;
#pragma omp critical(softmax_failure)
      failure = *pl_last_reason();
    }
  return failure.code == PL_OK ? PL_OK : pl_adopt_reason(&failure);
}

static int64_t tiles_of(int64_t n) { return (n + TILE - 1) / TILE; }

static int64_t batch_stride(const pl_softmax *s) { return (int64_t)s->row_tiles * TILE; }

static float *member_values(const pl_softmax *s, int member) {
  return s->value + (size_t)member * s->parameters;
}

static float *member_error(const pl_softmax *s, int member) {
  return s->error + member * s->options.classes * batch_stride(s);
}

static float *scratch_of(const pl_softmax *s, int slot) {
  return s->scratch + (size_t)slot * (size_t)s->options.classes * TILE;
}

static char *packed(char *tiles, const pl_tile_product *product, int tile) {
  return tiles + (size_t)tile * pl_tile_packed_bytes(product);
}

/* ---- making ---- */

static pl_status make_products(pl_softmax *s) {
  const pl_tile_spec scores = {.rows = {s->options.classes},
                               .inner = s->stride,
                               .cols = TILE,
                               .out_stride = TILE,
                               .transposed = true,
                               .slots = s->threads};
  pl_tile_spec slopes = scores;
  slopes.inner = (int)batch_stride(s);
  slopes.transposed = false;
  PL_TRY(pl_tile_product_create(&scores, &s->scores));
  return pl_tile_product_create(&slopes, &s->slopes);
}

static pl_status make_buffers(pl_softmax *s) {
  size_t members = (size_t)s->options.members, classes = (size_t)s->options.classes;
  size_t batch = (size_t)batch_stride(s), stride = (size_t)s->stride;
  s->value = pl_alloc(members * s->parameters, sizeof *s->value);
  s->velocity = pl_alloc(members * s->parameters, sizeof *s->velocity);
  s->error = pl_alloc(members * classes * batch, sizeof *s->error);
  s->by_row = pl_alloc(batch * stride, sizeof *s->by_row);
  s->packed_rows = pl_alloc((size_t)s->row_tiles, pl_tile_packed_bytes(s->scores));
  s->packed_columns = pl_alloc((size_t)s->columns, pl_tile_packed_bytes(s->slopes));
  s->column = pl_alloc((size_t)s->threads * batch * TILE, sizeof *s->column);
  s->scratch = pl_alloc((size_t)s->threads * classes * TILE, sizeof *s->scratch);
  return s->value && s->velocity && s->error && s->by_row && s->packed_rows && s->packed_columns &&
                 s->column && s->scratch
             ? PL_OK
             : PL_E_INTERNAL;
}

pl_status pl_softmax_create(const pl_softmax_options *options, pl_softmax **out) {
  pl_softmax *s = pl_alloc(1, sizeof *s);
  *out = NULL;
  if (!s) return PL_E_INTERNAL;
  s->options = *options;
  s->threads = pl_threads_count();
  s->row_tiles = (int)tiles_of(options->rows);
  s->columns = (int)tiles_of(options->width);
  s->stride = s->columns * TILE;
  s->parameters =
      (size_t)options->classes * (size_t)s->stride + (size_t)tiles_of(options->classes) * TILE;
  pl_status status = make_products(s);
  if (status == PL_OK) status = make_buffers(s);
  if (status != PL_OK) pl_softmax_destroy(&s);
  *out = s;
  return status;
}

void pl_softmax_destroy(pl_softmax **softmax) {
  pl_softmax *s = *softmax;
  if (!s) return;
  pl_tile_product_destroy(&s->scores);
  pl_tile_product_destroy(&s->slopes);
  pl_free(s->value);
  pl_free(s->velocity);
  pl_free(s->error);
  pl_free(s->by_row);
  pl_free(s->column);
  pl_free(s->packed_rows);
  pl_free(s->packed_columns);
  pl_free(s->scratch);
  pl_free(s);
  *softmax = NULL;
}

float *pl_softmax_parameters(pl_softmax *softmax, int member, int *stride, size_t *count) {
  if (stride) *stride = softmax->stride;
  *count = softmax->parameters;
  return member_values(softmax, member);
}

/* ---- a batch ---- */

typedef struct given {
  const pl_standard *standard;
  const float *const *rows;
} given;

static pl_status take_tile(pl_softmax *s, int slot, int member, int tile, void *context) {
  const given *g = context;
  (void)member;
  size_t stride = (size_t)s->stride;
  float *rows = s->by_row + (size_t)tile * TILE * stride;
  for (int64_t i = 0; i < TILE; i++) {
    int64_t at = (int64_t)tile * TILE + i;
    float *row = rows + (size_t)i * stride;
    if (at < s->n && g->rows[at])
      pl_standard_apply(g->standard, g->rows[at], row);
    else
      memset(row, 0, stride * sizeof *row);
  }
  return pl_tile_pack(s->scores, slot, rows, packed(s->packed_rows, s->scores, tile));
}

pl_status pl_softmax_take(pl_softmax *s, const pl_standard *standard, const float *const *rows,
                          int64_t n) {
  given g = {.standard = standard, .rows = rows};
  s->n = n;
  return for_each(s, 0, 1, s->row_tiles, take_tile, &g);
}

/* Scores without biases: scratch (classes, TILE). */
static pl_status score_tile(pl_softmax *s, int slot, int member, int tile, float **scores) {
  *scores = scratch_of(s, slot);
  return pl_tile_run(s->scores, slot, s->options.classes, member_values(s, member),
                     packed(s->packed_rows, s->scores, tile), *scores);
}

static const float *biases(const pl_softmax *s, int member) {
  return member_values(s, member) + (size_t)s->options.classes * (size_t)s->stride;
}

/* ---- predicting ---- */

static pl_status predict_tile(pl_softmax *s, int slot, int member, int tile, void *context) {
  int32_t *classes = context;
  const float *bias = biases(s, member);
  float *scores;
  PL_TRY(score_tile(s, slot, member, tile, &scores));
  int64_t first = (int64_t)tile * TILE;
  for (int i = 0; i < TILE && first + i < s->n; i++) {
    int32_t best = -1;
    float best_score = 0;
    for (int32_t k = 0; k < s->options.classes; k++) {
      float score = scores[k * TILE + i] + bias[k];
      if (best < 0 ? isnan(score) : !(score > best_score)) continue;
      best = k;
      best_score = score;
    }
    classes[first + i] = best;
  }
  return PL_OK;
}

pl_status pl_softmax_predict(pl_softmax *s, int member, int32_t *classes) {
  return for_each(s, member, member + 1, (int)tiles_of(s->n), predict_tile, classes);
}

/* ---- a step ---- */

typedef struct step {
  const int32_t *labels;
  const double *rate;
} step;

/* Turns scores into (softmax - target) / n, each row in a lane of its own: its classes are added in
 * their order. */
static void softmax_errors(const pl_softmax *s, int member, int tile, const int32_t *labels,
                           const float *scores) {
  int classes = s->options.classes;
  int64_t first = (int64_t)tile * TILE, stride = batch_stride(s);
  const float *bias = biases(s, member);
  float *error = member_error(s, member) + first;
  float highest[TILE], sum[TILE] = {0};
  for (int i = 0; i < TILE; i++) highest[i] = -INFINITY;
  for (int k = 0; k < classes; k++)
    for (int i = 0; i < TILE; i++) {
      float score = scores[k * TILE + i] + bias[k];
      highest[i] = score > highest[i] ? score : highest[i];
    }
  for (int k = 0; k < classes; k++)
    for (int i = 0; i < TILE; i++) {
      float power = pl_exp2f((scores[k * TILE + i] + bias[k] - highest[i]) * (float)PL_LOG2_E);
      error[k * stride + i] = power;
      sum[i] += power;
    }
  for (int i = 0; i < TILE; i++) sum[i] = first + i < s->n ? 1 / (sum[i] * (float)s->n) : 0;
  for (int k = 0; k < classes; k++)
    for (int i = 0; i < TILE; i++) error[k * stride + i] *= sum[i];
  for (int i = 0; i < TILE && first + i < s->n; i++)
    error[labels[first + i] * stride + i] -= 1 / (float)s->n;
}

static pl_status error_tile(pl_softmax *s, int slot, int member, int tile, void *context) {
  const step *now = context;
  float *scores;
  PL_TRY(score_tile(s, slot, member, tile, &scores));
  softmax_errors(s, member, tile, now->labels, scores);
  return PL_OK;
}

static void update_biases(pl_softmax *s, int member, float rate) {
  size_t start = (size_t)s->options.classes * (size_t)s->stride;
  float *value = member_values(s, member) + start;
  float *velocity = s->velocity + (size_t)member * s->parameters + start;
  for (int k = 0; k < s->options.classes; k++) {
    const float *error = member_error(s, member) + k * batch_stride(s);
    float lane[PL_LANES] = {0};
    for (int64_t i = 0; i < batch_stride(s); i += PL_LANES)
      for (int j = 0; j < PL_LANES; j++) lane[j] += error[i + j];
    velocity[k] = (float)s->options.momentum * velocity[k] + pl_fold_f32(lane);
    value[k] -= rate * velocity[k];
  }
}

/* The gradient of a tile of dimensions, and its update; with the first tile go the biases. */
static pl_status update_tile(pl_softmax *s, int slot, int member, int tile, void *context) {
  const step *now = context;
  float *slope = scratch_of(s, slot);
  float rate = (float)now->rate[member];
  float momentum = (float)s->options.momentum, decay = (float)s->options.weight_decay;
  PL_TRY(pl_tile_run(s->slopes, slot, s->options.classes, member_error(s, member),
                     packed(s->packed_columns, s->slopes, tile), slope));
  for (int k = 0; k < s->options.classes; k++) {
    size_t at = (size_t)k * (size_t)s->stride + (size_t)tile * TILE;
    float *value = member_values(s, member) + at;
    float *velocity = s->velocity + (size_t)member * s->parameters + at;
    for (int j = 0; j < TILE; j++) {
      velocity[j] = momentum * velocity[j] + slope[k * TILE + j] + decay * value[j];
      value[j] -= rate * velocity[j];
    }
  }
  if (tile == 0) update_biases(s, member, rate);
  return PL_OK;
}

static pl_status pack_column(pl_softmax *s, int slot, int member, int tile, void *context) {
  (void)member;
  (void)context;
  float *column = s->column + slot * batch_stride(s) * TILE;
  for (int64_t i = 0; i < batch_stride(s); i++)
    memcpy(column + i * TILE, s->by_row + i * s->stride + (int64_t)tile * TILE,
           TILE * sizeof *column);
  return pl_tile_pack(s->slopes, slot, column, packed(s->packed_columns, s->slopes, tile));
}

pl_status pl_softmax_step(pl_softmax *s, const int32_t *labels, const double *rate) {
  step now = {.labels = labels, .rate = rate};
  int members = s->options.members;
  PL_TRY(for_each(s, 0, 1, s->columns, pack_column, NULL));
  PL_TRY(for_each(s, 0, members, s->row_tiles, error_tile, &now));
  return for_each(s, 0, members, s->columns, update_tile, &now);
}
