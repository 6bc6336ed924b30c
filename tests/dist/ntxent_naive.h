/* A batch of views, and NT-Xent over it in double precision, pair by pair. */
#ifndef TESTS_DIST_NTXENT_NAIVE_H
#define TESTS_DIST_NTXENT_NAIVE_H

#include <string.h>

#include "losses/ntxent.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "tests/check.h"

/* A batch and how it is cut. The views of a sample differ by `noise` times a random direction. */
typedef struct problem {
  int leaf_samples, leaves, width, tile_rows, tile_cols;
  double temperature, noise;
} problem;

static inline int64_t rows_of(const problem *p) { return (int64_t)p->leaves * p->leaf_samples * 2; }

static inline pl_pair_options options_of(const problem *p) {
  return (pl_pair_options){.width = p->width,
                           .leaf_rows = 2 * p->leaf_samples,
                           .leaves = p->leaves,
                           .tile_rows = p->tile_rows,
                           .tile_cols = p->tile_cols};
}

static inline int64_t positive_of(const problem *p, int64_t row) {
  int64_t within = row % (2 * p->leaf_samples);
  return within < p->leaf_samples ? row + p->leaf_samples : row - p->leaf_samples;
}

/* The embeddings of the whole batch, unit rows; the same on every rank. */
static inline float *make_batch(const problem *p) {
  float *z = pl_alloc((size_t)(rows_of(p) * p->width), sizeof *z);
  assert_non_null(z);
  for (int64_t i = 0; i < rows_of(p); i++) {
    int64_t first = positive_of(p, i) < i ? positive_of(p, i) : i;
    pl_random sample = pl_random_stream(21, PL_RANDOM_TEST, 0, (uint64_t)first, 0);
    pl_random view = pl_random_stream(22, PL_RANDOM_TEST, 0, (uint64_t)i, 0);
    double norm = 0;
    for (int k = 0; k < p->width; k++) {
      float value = pl_random_normal(&sample) + (float)p->noise * pl_random_normal(&view);
      z[i * p->width + k] = value;
      norm += (double)value * value;
    }
    for (int k = 0; k < p->width; k++) z[i * p->width + k] /= (float)sqrt(norm);
  }
  return z;
}

static inline double dot(const problem *p, const float *z, int64_t i, int64_t j) {
  double sum = 0;
  for (int k = 0; k < p->width; k++) sum += (double)z[i * p->width + k] * z[j * p->width + k];
  return sum;
}

/* A row's loss as log(1 + Σ_negatives e^{(s − s⁺)/τ}), which neither overflows a double for τ ≥
 * 0.01 nor loses the digits of small losses; dz (rows, width). */
static inline pl_contrast_figures naive(const problem *p, const float *z, double *dz) {
  int64_t n = rows_of(p);
  pl_contrast_figures mean = {0};
  double close = 0;
  double *e = pl_alloc((size_t)n, sizeof *e);
  assert_non_null(e);
  memset(dz, 0, (size_t)(n * p->width) * sizeof *dz);
  for (int64_t i = 0; i < n; i++) {
    int64_t positive = positive_of(p, i);
    double s_positive = dot(p, z, i, positive), sum = 0;
    int right = 1;
    for (int64_t j = 0; j < n; j++) {
      double s = dot(p, z, i, j);
      if (j != i) close += exp(4 * s - 4) / ((double)n * (double)(n - 1));
      e[j] = j == i || j == positive ? 0 : exp((s - s_positive) / p->temperature);
      sum += e[j];
      if (j != i && j != positive && s >= s_positive) right = 0;
    }
    mean.loss += log1p(sum) / (double)n;
    mean.accuracy += (double)right / (double)n;
    mean.alignment += (2 - 2 * s_positive) / (double)n;
    for (int64_t j = 0; j < n; j++) {
      double ds = (j == positive ? -sum : e[j]) / (1 + sum) / (p->temperature * (double)n);
      for (int k = 0; k < p->width; k++) {
        dz[i * p->width + k] += ds * z[j * p->width + k];
        dz[j * p->width + k] += ds * z[i * p->width + k];
      }
    }
  }
  mean.uniformity = log(close);
  pl_free(e);
  return mean;
}

#endif
