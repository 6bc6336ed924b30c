/* What repeated measurements come to. */
#ifndef LAUNCH_SPREAD_H
#define LAUNCH_SPREAD_H

#include <stdint.h>

typedef struct pl_spread {
  double median, low, high;
} pl_spread;

/* Of n >= 1 values, which it sorts. */
pl_spread pl_spread_of(double *values, int64_t n);

#endif
