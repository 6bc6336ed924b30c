#include "launch/spread.h"

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
