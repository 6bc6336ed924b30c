/* What repeated measurements come to, and how they are told: the median with the least and the
 * most. */
#ifndef LAUNCH_BENCH_SPREAD_H
#define LAUNCH_BENCH_SPREAD_H

#include <stdint.h>

typedef struct pl_spread {
  double median, low, high;
} pl_spread;

/* Of n >= 1 values, which it sorts. */
pl_spread pl_spread_of(double *values, int64_t n);

typedef struct pl_spread_format {
  int words, width, digits; /* columns of the words and of the median; digits after the point */
  const char *unit;         /* after the median, with the blank before it */
} pl_spread_format;

/* "WORDS  MEDIAN UNIT  [LOW, HIGH]" to stdout, without an end of line. */
void pl_spread_print(const pl_spread_format *format, const char *words, pl_spread spread);

/* A further member of a JSON object, to stdout: its key and an object of the three figures. */
void pl_spread_print_json(const char *key, pl_spread spread);

#endif
