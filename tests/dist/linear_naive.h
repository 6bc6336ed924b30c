/* Rows of classes, and the classifier of models/linear.h over them in double precision, row by row.
 */
#ifndef TESTS_DIST_LINEAR_NAIVE_H
#define TESTS_DIST_LINEAR_NAIVE_H

#include <math.h>
#include <string.h>

#include "models/linear.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "tests/check.h"

typedef struct problem {
  int64_t train, queries;
  double noise; /* beside class centres at unit distance from the origin, in each dimension */
  pl_linear_options options;
} problem;

typedef struct data {
  float *train, *queries;
  int32_t *train_labels, *query_labels;
} data;

/* Dimensions of very different size and place, one of them constant. */
static inline float *make_rows(const problem *p, int64_t rows, uint32_t which, int32_t *labels) {
  int width = p->options.width, classes = p->options.classes;
  float *features = pl_alloc((size_t)(rows * width), sizeof *features);
  assert_true(features && labels);
  pl_random random = pl_random_stream(51, PL_RANDOM_TEST, which, 0, 0);
  for (int64_t i = 0; i < rows; i++) {
    labels[i] = (int32_t)pl_random_below(&random, (uint64_t)classes);
    pl_random centre = pl_random_stream(52, PL_RANDOM_TEST, 0, (uint64_t)labels[i], 0);
    for (int j = 0; j < width; j++) {
      double value = pl_random_normal(&centre) + p->noise * pl_random_normal(&random);
      features[i * width + j] = j == 1 ? 7.5f : (float)((value + j) * pow(10, j % 5 - 2));
    }
  }
  return features;
}

static inline data make_data(const problem *p) {
  data d = {.train_labels = pl_alloc((size_t)p->train, sizeof *d.train_labels),
            .query_labels = pl_alloc((size_t)p->queries, sizeof *d.query_labels)};
  d.train = make_rows(p, p->train, 0, d.train_labels);
  d.queries = make_rows(p, p->queries, 1, d.query_labels);
  return d;
}

static inline void free_data(data *d) {
  pl_free(d->train);
  pl_free(d->queries);
  pl_free(d->train_labels);
  pl_free(d->query_labels);
}

/* ---- the classifier ---- */

/* A score that is higher by this share of the spread is higher in single precision too. */
#define CLEAR 1e-4

typedef struct naive {
  const problem *p;
  const data *d;
  double *mean, *deviation; /* (width) */
  double *value, *velocity; /* (classes, width + 1): the last is the bias */
  uint32_t *shuffled, *order;
  int64_t held, trained;
} naive;

static inline double *doubles(int64_t count) {
  double *block = pl_alloc((size_t)count, sizeof *block);
  assert_non_null(block);
  return block;
}

static inline double entry(const naive *n, const float *row, int j) {
  if (j == n->p->options.width) return 1;
  return n->deviation[j] > 0 ? (row[j] - n->mean[j]) / n->deviation[j] : 0;
}

static inline void score(const naive *n, const float *row, double *scores) {
  int width = n->p->options.width;
  for (int k = 0; k < n->p->options.classes; k++) {
    scores[k] = 0;
    for (int j = 0; j <= width; j++) scores[k] += n->value[k * (width + 1) + j] * entry(n, row, j);
  }
}

/* The best class, and by which share of the spread of scores it is the best. */
static inline int32_t best_of(const double *scores, int classes, double *margin) {
  int32_t best = 0;
  double second = -INFINITY, worst = INFINITY;
  for (int32_t k = 1; k < classes; k++)
    if (scores[k] > scores[best]) best = k;
  for (int32_t k = 0; k < classes; k++) {
    if (k != best) second = fmax(second, scores[k]);
    worst = fmin(worst, scores[k]);
  }
  *margin = (scores[best] - second) / (scores[best] - worst);
  return best;
}

static inline void measure(naive *n) {
  int width = n->p->options.width;
  for (int j = 0; j < width; j++) {
    double sum = 0, square = 0, count = (double)n->p->train;
    for (int64_t i = 0; i < n->p->train; i++) sum += n->d->train[i * width + j];
    n->mean[j] = sum / count;
    for (int64_t i = 0; i < n->p->train; i++)
      square += pow(n->d->train[i * width + j] - n->mean[j], 2);
    n->deviation[j] = sqrt(square / count);
  }
}

static inline void step(naive *n, const uint32_t *index, int64_t rows, double rate,
                        double *slopes) {
  int width = n->p->options.width, classes = n->p->options.classes;
  double *scores = doubles(classes);
  memset(slopes, 0, (size_t)(classes * (width + 1)) * sizeof *slopes);
  for (int64_t i = 0; i < rows; i++) {
    const float *row = n->d->train + (int64_t)index[i] * width;
    double sum = 0;
    score(n, row, scores);
    for (int k = 0; k < classes; k++) sum += exp(scores[k]);
    for (int k = 0; k < classes; k++) {
      double error = exp(scores[k]) / sum - (k == n->d->train_labels[index[i]]);
      for (int j = 0; j <= width; j++)
        slopes[k * (width + 1) + j] += error * entry(n, row, j) / (double)rows;
    }
  }
  for (int at = 0; at < classes * (width + 1); at++) {
    double decay = at % (width + 1) < width ? n->p->options.weight_decay : 0;
    n->velocity[at] = n->p->options.momentum * n->velocity[at] + slopes[at] + decay * n->value[at];
    n->value[at] -= rate * n->velocity[at];
  }
  pl_free(scores);
}

static inline void train(naive *n, double rate) {
  const pl_linear_options *o = &n->p->options;
  int64_t size = (int64_t)o->classes * (o->width + 1);
  int64_t rows = o->batch < n->trained ? o->batch : n->trained;
  int64_t steps = (int64_t)rint(o->epochs * ceil((double)n->trained / (double)rows));
  double *slopes = doubles(size);
  memset(n->value, 0, (size_t)size * sizeof *n->value);
  memset(n->velocity, 0, (size_t)size * sizeof *n->velocity);
  int64_t done = 0;
  for (uint32_t epoch = 0; done < steps; epoch++) {
    pl_random random = pl_random_stream(o->seed, PL_RANDOM_LINEAR, epoch, 0, 0);
    pl_random_permutation(&random, n->order, (uint64_t)n->trained);
    for (int64_t i = 0; i < n->trained; i++) n->order[i] = n->shuffled[n->held + n->order[i]];
    for (int64_t first = 0; first < n->trained && done < steps; first += rows, done++) {
      int64_t count = n->trained - first < rows ? n->trained - first : rows;
      double now = rate * (1 + cos(M_PI * (double)done / (double)steps)) / 2;
      step(n, n->order + first, count, now, slopes);
    }
  }
  pl_free(slopes);
}

static inline naive make_naive(const problem *p, const data *d) {
  int64_t size = (int64_t)p->options.classes * (p->options.width + 1);
  naive n = {.p = p, .d = d};
  n.mean = doubles(p->options.width);
  n.deviation = doubles(p->options.width);
  n.value = doubles(size);
  n.velocity = doubles(size);
  n.shuffled = pl_alloc((size_t)p->train, sizeof *n.shuffled);
  n.order = pl_alloc((size_t)p->train, sizeof *n.order);
  assert_true(n.shuffled && n.order);
  n.held = llround(p->options.holdout * (double)p->train);
  n.trained = p->train - n.held;
  pl_random random = pl_random_stream(p->options.seed, PL_RANDOM_LINEAR, 0, 0, 1);
  pl_random_permutation(&random, n.shuffled, (uint64_t)p->train);
  measure(&n);
  return n;
}

static inline void free_naive(naive *n) {
  pl_free(n->mean);
  pl_free(n->deviation);
  pl_free(n->value);
  pl_free(n->velocity);
  pl_free(n->shuffled);
  pl_free(n->order);
}

/* Right predictions among rows; *open: how many of them rounding might turn. */
static inline int64_t count_right(const naive *n, const float *features, const int32_t *labels,
                                  const uint32_t *index, int64_t count, int64_t *open) {
  int classes = n->p->options.classes;
  double *scores = doubles(classes), margin;
  int64_t right = 0;
  *open = 0;
  for (int64_t i = 0; i < count; i++) {
    score(n, features + (int64_t)index[i] * n->p->options.width, scores);
    right += best_of(scores, classes, &margin) == labels[index[i]];
    *open += margin < CLEAR;
  }
  pl_free(scores);
  return right;
}

#endif
