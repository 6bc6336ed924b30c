/* Orthogonal iteration on the covariance matrix with a few vectors more than are asked for, whose
 * plane is turned after each round so that the covariance is diagonal in it (Rayleigh and Ritz).
 * The error of the leading axes falls by the ratio of the variances of axis BLOCK+1 and theirs. */
#include "models/pca.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/base/lanes.h"
#include "runtime/base/memory.h"

enum { BLOCK = 8, ROUNDS_MAX = 500, JACOBI_SWEEPS_MAX = 30 };
/* RESIDUAL, of the largest variance: the length of what the covariance makes of an axis beside a
 * multiple of it; rounding alone is two orders below. NOTHING, of the whole variance: what rounding
 * leaves where there is none. ROUNDING, of the mean square of the values: the same for the whole.
 */
static const double RESIDUAL = 1e-12, NOTHING = 1e-14, ROUNDING = 1e-28;

typedef struct analysis {
  const float *rows;
  int64_t count;
  int width, block;   /* block: vectors iterated, at most `width` */
  double *columns;    /* (width, count): centred */
  double *covariance; /* (width, width) */
  double *basis;      /* (block, width): orthonormal, or zero rows where the rank is exhausted */
  double *image;      /* (block, width): basis times covariance */
  double *turned;     /* (block, width): scratch */
  double *square;     /* (width): mean squares before centring */
  double variance;    /* of all dimensions together; 0 where it is mere rounding */
  double ritz[BLOCK]; /* variances along the basis, falling */
} analysis;

static double dot(const double *a, const double *b, int64_t n) {
  double lane[PL_LANES] = {0};
  int64_t i = 0;
  for (; i + PL_LANES <= n; i += PL_LANES) {
    for (int k = 0; k < PL_LANES; k++) lane[k] += a[i + k] * b[i + k];
  }
  for (int k = 0; i < n; i++, k++) lane[k] += a[i] * b[i];
  return pl_fold_f64(lane);
}

/* Transposed, so that all sums below run along memory. */
static void centre(analysis *p) {
#pragma omp parallel for schedule(static)
  for (int j = 0; j < p->width; j++) {
    double *column = p->columns + j * p->count;
    double lane[PL_LANES] = {0};
    for (int64_t i = 0; i < p->count; i++) {
      column[i] = p->rows[i * p->width + j];
      lane[i % PL_LANES] += column[i];
    }
    p->square[j] = dot(column, column, p->count) / (double)p->count;
    double mean = pl_fold_f64(lane) / (double)p->count;
    for (int64_t i = 0; i < p->count; i++) column[i] -= mean;
  }
}

/* Divided by the count, which shares and axes don't depend on. */
static void fill_covariance(analysis *p) {
  size_t width = (size_t)p->width;
#pragma omp parallel for schedule(dynamic, 8)
  for (size_t i = 0; i < width; i++) {
    for (size_t j = 0; j <= i; j++) {
      const double *a = p->columns + i * (size_t)p->count, *b = p->columns + j * (size_t)p->count;
      p->covariance[i * width + j] = dot(a, b, p->count) / (double)p->count;
    }
  }
  double square = 0;
  for (size_t i = 0; i < width; i++) {
    square += p->square[i];
    p->variance += p->covariance[i * width + i];
    for (size_t j = i + 1; j < width; j++) {
      p->covariance[i * width + j] = p->covariance[j * width + i];
    }
  }
  if (p->variance <= ROUNDING * square) p->variance = 0;
}

/* Numbers without a pattern (fractions of multiples of the golden ratio), so that no axis of data
 * from practice is orthogonal to all of them. */
static void start(analysis *p) {
  for (int a = 0; a < p->block; a++) {
    for (int j = 0; j < p->width; j++) {
      double multiple = (j + 1.0) * (2 * a + 1.0) * 0.61803398874989485;
      p->image[a * p->width + j] = multiple - floor(multiple) - 0.5;
    }
  }
}

/* basis = orthonormalised image (Gram and Schmidt, twice for full orthogonality). */
static void orthonormalise(analysis *p) {
  for (int a = 0; a < p->block; a++) {
    double *v = p->basis + a * p->width;
    memcpy(v, p->image + a * p->width, (size_t)p->width * sizeof *v);
    double before = sqrt(dot(v, v, p->width));
    for (int pass = 0; pass < 2; pass++) {
      for (int b = 0; b < a; b++) {
        const double *u = p->basis + b * p->width;
        double along = dot(u, v, p->width);
        for (int j = 0; j < p->width; j++) v[j] -= along * u[j];
      }
    }
    double after = sqrt(dot(v, v, p->width));
    /* what is left of a dependent vector is rounding */
    double scale = after > 1e-14 * before ? 1 / after : 0;
    for (int j = 0; j < p->width; j++) v[j] *= scale;
  }
}

static void apply_covariance(analysis *p) {
#pragma omp parallel for schedule(static)
  for (int j = 0; j < p->width; j++) {
    const double *line = p->covariance + (size_t)j * (size_t)p->width;
    for (int a = 0; a < p->block; a++) {
      p->image[a * p->width + j] = dot(p->basis + a * p->width, line, p->width);
    }
  }
}

/* One Jacobi rotation: makes m[a][b] zero; `turn` collects the rotations in its rows. */
static void rotate(int n, double m[BLOCK][BLOCK], double turn[BLOCK][BLOCK], int a, int b) {
  if (m[a][b] == 0) return;
  double theta = (m[b][b] - m[a][a]) / (2 * m[a][b]);
  double tangent = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
  double cosine = 1 / sqrt(tangent * tangent + 1), sine = tangent * cosine;
  for (int k = 0; k < n; k++) {
    double x = m[k][a], y = m[k][b];
    m[k][a] = cosine * x - sine * y;
    m[k][b] = sine * x + cosine * y;
  }
  for (int k = 0; k < n; k++) {
    double x = m[a][k], y = m[b][k];
    m[a][k] = cosine * x - sine * y;
    m[b][k] = sine * x + cosine * y;
    x = turn[a][k];
    y = turn[b][k];
    turn[a][k] = cosine * x - sine * y;
    turn[b][k] = sine * x + cosine * y;
  }
}

/* Eigenvectors of the symmetric m as rows of `turn`; its diagonal becomes the eigenvalues. */
static void diagonalise(int n, double m[BLOCK][BLOCK], double turn[BLOCK][BLOCK]) {
  for (int a = 0; a < n; a++) {
    for (int b = 0; b < n; b++) turn[a][b] = a == b;
  }
  for (int sweep = 0; sweep < JACOBI_SWEEPS_MAX; sweep++) {
    double off = 0, on = 0;
    for (int a = 0; a < n; a++) {
      on += m[a][a] * m[a][a];
      for (int b = 0; b < a; b++) off += m[a][b] * m[a][b];
    }
    if (off <= 1e-34 * on) return;
    for (int a = 0; a < n; a++) {
      for (int b = a + 1; b < n; b++) rotate(n, m, turn, a, b);
    }
  }
}

/* rows = turn * rows, in the order of `order`. */
static void turn_rows(analysis *p, double *rows, double turn[BLOCK][BLOCK], const int *order) {
  size_t bytes = (size_t)p->block * (size_t)p->width * sizeof *rows;
  memset(p->turned, 0, bytes);
  for (int a = 0; a < p->block; a++) {
    double *to = p->turned + a * p->width;
    for (int b = 0; b < p->block; b++) {
      double share = turn[order[a]][b];
      const double *from = rows + b * p->width;
      for (int j = 0; j < p->width; j++) to[j] += share * from[j];
    }
  }
  memcpy(rows, p->turned, bytes);
}

/* Turns basis and image so that the covariance is diagonal in the basis, most variance first. */
static void align(analysis *p) {
  double m[BLOCK][BLOCK], turn[BLOCK][BLOCK];
  int order[BLOCK];
  for (int a = 0; a < p->block; a++) {
    for (int b = 0; b <= a; b++) {
      m[a][b] = m[b][a] = dot(p->basis + a * p->width, p->image + b * p->width, p->width);
    }
  }
  diagonalise(p->block, m, turn);
  for (int a = 0; a < p->block; a++) {
    int at = a;
    for (; at > 0 && m[order[at - 1]][order[at - 1]] < m[a][a]; at--) order[at] = order[at - 1];
    order[at] = a;
  }
  for (int a = 0; a < p->block; a++) p->ritz[a] = fmax(m[order[a]][order[a]], 0);
  turn_rows(p, p->basis, turn, order);
  turn_rows(p, p->image, turn, order);
}

static bool has_settled(const analysis *p) {
  for (int a = 0; a < PL_PCA_AXES && a < p->block; a++) {
    double square = 0;
    for (int j = 0; j < p->width; j++) {
      double beside = p->image[a * p->width + j] - p->ritz[a] * p->basis[a * p->width + j];
      square += beside * beside;
    }
    if (!(sqrt(square) <= RESIDUAL * p->ritz[0])) return false;
  }
  return true;
}

static void iterate(analysis *p) {
  start(p);
  for (int round = 0; round < ROUNDS_MAX; round++) {
    orthonormalise(p);
    apply_covariance(p);
    align(p);
    if (has_settled(p)) return;
  }
}

/* Takes axis `a` over, with its sign, and projects on it. */
static void project(const analysis *p, int a, pl_pca *out) {
  if (p->ritz[a] <= NOTHING * p->variance) return;
  double *axis = out->axis + a * p->width;
  int largest = 0;
  memcpy(axis, p->basis + a * p->width, (size_t)p->width * sizeof *axis);
  for (int j = 1; j < p->width; j++) {
    if (fabs(axis[j]) > fabs(axis[largest])) largest = j;
  }
  if (axis[largest] < 0) {
    for (int j = 0; j < p->width; j++) axis[j] = -axis[j];
  }
  for (int j = 0; j < p->width; j++) {
    const double *column = p->columns + j * p->count;
    for (int64_t i = 0; i < p->count; i++) out->points[i * PL_PCA_AXES + a] += axis[j] * column[i];
  }
  out->share[a] = p->ritz[a] / p->variance;
}

static pl_status reserve(analysis *p, pl_pca *out) {
  size_t width = (size_t)p->width, count = (size_t)p->count, block = (size_t)p->block;
  p->columns = pl_alloc(width * count, sizeof *p->columns);
  p->square = pl_alloc(width, sizeof *p->square);
  p->covariance = pl_alloc(width * width, sizeof *p->covariance);
  p->basis = pl_alloc(block * width, sizeof *p->basis);
  p->image = pl_alloc(block * width, sizeof *p->image);
  p->turned = pl_alloc(block * width, sizeof *p->turned);
  out->axis = pl_alloc(PL_PCA_AXES * width, sizeof *out->axis);
  out->points = pl_alloc(PL_PCA_AXES * count, sizeof *out->points);
  return p->columns && p->square && p->covariance && p->basis && p->image && p->turned &&
                 out->axis && out->points
             ? PL_OK
             : PL_E_INTERNAL;
}

pl_status pl_pca_compute(const float *rows, int64_t count, int width, pl_pca *out) {
  *out = (pl_pca){0};
  analysis p = {
      .rows = rows, .count = count, .width = width, .block = width < BLOCK ? width : BLOCK};
  pl_status status = reserve(&p, out);
  if (status == PL_OK && count > 0) {
    centre(&p);
    fill_covariance(&p);
  }
  if (status == PL_OK && p.variance > 0) {
    iterate(&p);
    for (int a = 0; a < PL_PCA_AXES && a < p.block; a++) project(&p, a, out);
  }
  pl_free(p.columns);
  pl_free(p.square);
  pl_free(p.covariance);
  pl_free(p.basis);
  pl_free(p.image);
  pl_free(p.turned);
  return status;
}

void pl_pca_free(pl_pca *pca) {
  pl_free(pca->axis);
  pl_free(pca->points);
  *pca = (pl_pca){0};
}
