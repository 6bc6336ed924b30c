#include "models/standard.h"

#include <math.h>

#include "runtime/base/memory.h"

/* Sums are exact, so that neither the order of rows nor their ranks count: terms are scaled by
 * powers of two into [-2^bits, 2^bits] and rounded to whole numbers, which doubles add without
 * error as long as the sum stays below 2^53. Of 50,000 rows each keeps 37 bits. */
enum { EXACT_BITS = 53, COLUMNS = 64 };

typedef struct measure {
  const float *features;
  int64_t count, total; /* rows here, and of all ranks */
  int width, bits;
  int *exponent; /* (width): every |x| is below 2^exponent */
  double *sums;  /* (width) */
} measure;

static void find_largest(const measure *m, int first, int end) {
  for (int64_t i = 0; i < m->count; i++)
    for (int j = first; j < end; j++)
      m->sums[j] = fmax(m->sums[j], fabs((double)m->features[i * m->width + j]));
}

static void sum_values(const measure *m, int first, int end) {
  double scale[COLUMNS];
  for (int j = first; j < end; j++) scale[j - first] = ldexp(1, m->bits - m->exponent[j]);
  for (int64_t i = 0; i < m->count; i++)
    for (int j = first; j < end; j++)
      m->sums[j] += rint((double)m->features[i * m->width + j] * scale[j - first]);
}

/* A distance from the mean is below 2^(exponent + 1). */
static void sum_squares(const measure *m, const double *mean, int first, int end) {
  double scale[COLUMNS];
  const double whole = ldexp(1, m->bits);
  for (int j = first; j < end; j++) scale[j - first] = ldexp(1, -1 - m->exponent[j]);
  for (int64_t i = 0; i < m->count; i++)
    for (int j = first; j < end; j++) {
      double distance = ((double)m->features[i * m->width + j] - mean[j]) * scale[j - first];
      m->sums[j] += rint(distance * distance * whole);
    }
}

typedef enum pass { LARGEST, VALUES, SQUARES } pass;

static void walk(measure *m, pass which, const double *mean) {
#pragma omp parallel for schedule(static)
  for (int first = 0; first < m->width; first += COLUMNS) {
    int end = first + COLUMNS < m->width ? first + COLUMNS : m->width;
    for (int j = first; j < end; j++) m->sums[j] = 0;
    if (which == LARGEST) find_largest(m, first, end);
    if (which == VALUES) sum_values(m, first, end);
    if (which == SQUARES) sum_squares(m, mean, first, end);
  }
}

static pl_status measure_all(pl_comm *comm, measure *m, pl_standard *out) {
  size_t width = (size_t)m->width;
  double total = (double)m->count;
  PL_TRY(pl_comm_sum_f64(comm, &total, 1));
  m->bits = EXACT_BITS - (int)ceil(log2(fmax(total, 1)));
  walk(m, LARGEST, NULL);
  PL_TRY(pl_comm_max_f64(comm, m->sums, width));
  for (int j = 0; j < m->width; j++) frexp(m->sums[j], &m->exponent[j]);
  walk(m, VALUES, NULL);
  PL_TRY(pl_comm_sum_f64(comm, m->sums, width));
  for (int j = 0; j < m->width; j++)
    out->mean[j] = ldexp(m->sums[j] / total, m->exponent[j] - m->bits);
  walk(m, SQUARES, out->mean);
  PL_TRY(pl_comm_sum_f64(comm, m->sums, width));
  for (int j = 0; j < m->width; j++) {
    double variance = ldexp(m->sums[j] / total, 2 * (m->exponent[j] + 1) - m->bits);
    out->factor[j] = variance > 0 ? 1 / sqrt(variance) : 0;
  }
  return PL_OK;
}

pl_status pl_standard_measure(pl_comm *comm, const float *features, int64_t count, int width,
                              pl_standard *out) {
  measure m = {.features = features, .count = count, .width = width};
  *out = (pl_standard){.width = width};
  out->mean = pl_alloc((size_t)width, sizeof *out->mean);
  out->factor = pl_alloc((size_t)width, sizeof *out->factor);
  m.exponent = pl_alloc((size_t)width, sizeof *m.exponent);
  m.sums = pl_alloc((size_t)width, sizeof *m.sums);
  bool whole = out->mean && out->factor && m.exponent && m.sums;
  pl_status status = pl_comm_agree(comm, whole ? PL_OK : PL_E_INTERNAL);
  if (whole && status == PL_OK) status = measure_all(comm, &m, out);
  pl_free(m.exponent);
  pl_free(m.sums);
  return status;
}

void pl_standard_free(pl_standard *standard) {
  pl_free(standard->mean);
  pl_free(standard->factor);
  *standard = (pl_standard){0};
}

void pl_standard_apply(const pl_standard *standard, const float *row, float *out) {
  for (int j = 0; j < standard->width; j++)
    out[j] = (float)(((double)row[j] - standard->mean[j]) * standard->factor[j]);
}
