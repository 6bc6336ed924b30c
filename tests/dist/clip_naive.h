/* A batch of pairs, and the losses of losses/clip.h over it in double precision, pair by pair. */
#ifndef TESTS_DIST_CLIP_NAIVE_H
#define TESTS_DIST_CLIP_NAIVE_H

#include "losses/clip.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/tensor/dtype.h"
#include "tests/check.h"

/* A batch and how it is cut. The two embeddings of a pair differ by `noise` times a random
 * direction. */
typedef struct problem {
  pl_clip_kind kind;
  int leaf_pairs, leaves, width, tile_rows, tile_cols;
  double scale, bias, noise;
} problem;

/* The whole batch, the same on every rank; (pairs, width) each. */
typedef struct batch {
  float *x, *y;
} batch;

static inline int64_t pairs_of(const problem *p) { return (int64_t)p->leaves * p->leaf_pairs; }
static inline size_t floats_of(const problem *p) { return (size_t)(pairs_of(p) * p->width); }

static inline pl_pair_options options_of(const problem *p) {
  return (pl_pair_options){.width = p->width,
                           .leaf_rows = p->leaf_pairs,
                           .leaves = p->leaves,
                           .tile_rows = p->tile_rows,
                           .tile_cols = p->tile_cols};
}

static inline void *must_alloc(size_t count, size_t size) {
  void *memory = pl_alloc(count, size);
  assert_non_null(memory);
  return memory;
}

static inline void make_row(const problem *p, uint64_t pair, uint64_t side, float *row) {
  pl_random common = pl_random_stream(31, PL_RANDOM_TEST, 0, pair, 0);
  pl_random own = pl_random_stream(32, PL_RANDOM_TEST, side, pair, 0);
  double square = 0;
  for (int k = 0; k < p->width; k++) {
    row[k] = pl_random_normal(&common) + (float)p->noise * pl_random_normal(&own);
    square += (double)row[k] * row[k];
  }
  for (int k = 0; k < p->width; k++) row[k] /= (float)sqrt(square);
}

static inline batch make_batch(const problem *p) {
  batch b = {.x = must_alloc(floats_of(p), sizeof *b.x),
             .y = must_alloc(floats_of(p), sizeof *b.y)};
  for (int64_t i = 0; i < pairs_of(p); i++) {
    make_row(p, (uint64_t)i, 0, b.x + i * p->width);
    make_row(p, (uint64_t)i, 1, b.y + i * p->width);
  }
  return b;
}

/* Of values that products of this type take as they are. */
static inline batch make_batch_of(const problem *p, pl_dtype type) {
  batch b = make_batch(p);
  for (size_t i = 0; type == PL_BF16 && i < floats_of(p); i++) {
    b.x[i] = pl_bf16_to_f32(pl_f32_to_bf16(b.x[i]));
    b.y[i] = pl_bf16_to_f32(pl_f32_to_bf16(b.y[i]));
  }
  return b;
}

static inline void free_batch(batch *b) {
  pl_free(b->x);
  pl_free(b->y);
}

/* What a rank finds. */
typedef struct solution {
  pl_contrast_figures figures;
  double dlog_scale, dbias;
  int64_t first, count; /* its pairs */
  float *dx, *dy;       /* (count, width) */
} solution;

static inline void free_solution(solution *s) {
  pl_free(s->dx);
  pl_free(s->dy);
}

/* A rank's gradient within `tolerance` of the largest element of all. */
static inline void check_largest(const problem *p, const solution *found, const float *d,
                                 const double *expected, double tolerance) {
  double largest = 0;
  assert_true(found->count > 0);
  for (size_t i = 0; i < floats_of(p); i++) largest = fmax(largest, fabs(expected[i]));
  for (int64_t i = 0; i < found->count * p->width; i++)
    CHECK_NEAR(d[i] / largest, expected[found->first * p->width + i] / largest, tolerance);
}

/* What it finds, and the sums of the absolute terms of the two slopes: their precision is relative
 * to these. */
typedef struct naive_figures {
  pl_contrast_figures figures;
  double dlog_scale, dbias, dlog_scale_size, dbias_size;
  double *dx, *dy; /* (pairs, width) */
} naive_figures;

static inline double dot(const problem *p, const float *a, const float *b, int64_t i, int64_t j) {
  double sum = 0;
  for (int k = 0; k < p->width; k++) sum += (double)a[i * p->width + k] * b[j * p->width + k];
  return sum;
}

/* Adds ds = ∂L/∂s_ij to the gradients. */
static inline void spread(const problem *p, const batch *b, int64_t i, int64_t j, double ds,
                          naive_figures *n) {
  for (int k = 0; k < p->width; k++) {
    n->dx[i * p->width + k] += ds * b->y[j * p->width + k];
    n->dy[j * p->width + k] += ds * b->x[i * p->width + k];
  }
}

static inline void add_slope(naive_figures *n, double by_scale, double by_bias) {
  n->dlog_scale += by_scale;
  n->dbias += by_bias;
  n->dlog_scale_size += fabs(by_scale);
  n->dbias_size += fabs(by_bias);
}

/* Row i of images, or with `flip` of texts: log(1 + Σ_{j≠i} e^{a(s_ij − s_ii)}), which keeps the
 * digits of small losses. */
static inline void naive_softmax_row(const problem *p, const batch *b, int64_t i, bool flip,
                                     naive_figures *n) {
  int64_t pairs = pairs_of(p);
  double own = dot(p, b->x, b->y, i, i), sum = 0, rows = 2 * (double)pairs;
  double *gap = must_alloc((size_t)pairs, sizeof *gap);
  for (int64_t j = 0; j < pairs; j++) {
    gap[j] = p->scale * ((flip ? dot(p, b->x, b->y, j, i) : dot(p, b->x, b->y, i, j)) - own);
    if (j != i) sum += exp(gap[j]);
  }
  n->figures.loss += log1p(sum) / rows;
  for (int64_t j = 0; j < pairs; j++) {
    double slope = (j == i ? -sum : exp(gap[j])) / (1 + sum) / rows;
    if (flip)
      spread(p, b, j, i, slope * p->scale, n);
    else
      spread(p, b, i, j, slope * p->scale, n);
    if (j != i) add_slope(n, slope * gap[j], 0);
  }
  pl_free(gap);
}

static inline void naive_sigmoid_row(const problem *p, const batch *b, int64_t i,
                                     naive_figures *n) {
  double pairs = (double)pairs_of(p);
  for (int64_t j = 0; j < pairs_of(p); j++) {
    double s = dot(p, b->x, b->y, i, j), logit = p->scale * s + p->bias;
    double wrong = i == j ? -logit : logit;
    double slope = (i == j ? -1 : 1) / (1 + exp(-wrong)) / pairs;
    n->figures.loss += (fmax(wrong, 0) + log1p(exp(-fabs(wrong)))) / pairs;
    spread(p, b, i, j, slope * p->scale, n);
    add_slope(n, slope * p->scale * s, slope);
  }
}

static inline naive_figures naive(const problem *p, const batch *b) {
  naive_figures n = {.dx = must_alloc(floats_of(p), sizeof *n.dx),
                     .dy = must_alloc(floats_of(p), sizeof *n.dy)};
  int64_t pairs = pairs_of(p);
  double close = 0;
  for (int64_t i = 0; i < pairs; i++) {
    double own = dot(p, b->x, b->y, i, i);
    int best_text = 1, best_image = 1;
    for (int64_t j = 0; j < pairs; j++) {
      if (j == i) continue;
      best_text &= dot(p, b->x, b->y, i, j) < own;
      best_image &= dot(p, b->x, b->y, j, i) < own;
      close += exp(4 * dot(p, b->x, b->x, i, j) - 4) / ((double)pairs * (double)(pairs - 1));
    }
    n.figures.accuracy += (best_text + best_image) / (2 * (double)pairs);
    n.figures.alignment += (2 - 2 * own) / (double)pairs;
    if (p->kind == PL_CLIP_SIGMOID) naive_sigmoid_row(p, b, i, &n);
    for (int flip = 0; flip < 2 && p->kind == PL_CLIP_SOFTMAX; flip++)
      naive_softmax_row(p, b, i, flip, &n);
  }
  n.figures.uniformity = log(close);
  return n;
}

#endif
