#include "launch/bench/spread.h"

#include <stdio.h>
#include <stdlib.h>

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

pl_spread pl_spread_of(double *values, int64_t n) {
  qsort(values, (size_t)n, sizeof *values, by_size);
  int64_t middle = n / 2;
  return (pl_spread){.median = n % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2,
                     .low = values[0],
                     .high = values[n - 1]};
}

void pl_spread_print(const pl_spread_format *format, const char *words, pl_spread spread) {
  int digits = format->digits;
  printf("%-*s %*.*f%s  [%.*f, %.*f]", format->words, words, format->width, digits, spread.median,
         format->unit, digits, spread.low, digits, spread.high);
}

void pl_spread_print_json(const char *key, pl_spread spread) {
  printf(", \"%s\": {\"median\": %.6g, \"low\": %.6g, \"high\": %.6g}", key, spread.median,
         spread.low, spread.high);
}
