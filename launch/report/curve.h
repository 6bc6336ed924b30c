/* Points of a curve and what is done to them before they are drawn, and axes with round ticks. */
#ifndef LAUNCH_REPORT_CURVE_H
#define LAUNCH_REPORT_CURVE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* Finite points, x ascending. A point that starts a stretch is not joined to the one before. */
typedef struct pl_curve {
  int64_t count;
  double *x, *y;
  bool *starts;
} pl_curve;

void pl_curve_free(pl_curve *curve);

/* Takes the finite ones of `count` points. Where some between two are not finite, and the two are
 * further apart than neighbours usually are, a new stretch starts: a figure that is told every
 * tenth step has no gaps. Zero-initialised `out`, to be freed also after an error, here and below.
 */
pl_status pl_curve_from(const double *x, const double *y, int64_t count, pl_curve *out);

/* Means over up to `window` points (an odd number) around each. Near the start of a stretch, where
 * curves are steep, as many before a point as after it; near its end those that there are. */
pl_status pl_curve_smooth(const pl_curve *curve, int64_t window, pl_curve *out);

/* Of each of `buckets` equal parts of [low, high], the lowest and the highest point of each
 * stretch.
 */
pl_status pl_curve_thin(const pl_curve *curve, double low, double high, int buckets, pl_curve *out);

enum { PL_AXIS_TICKS = 16, PL_AXIS_LABEL = 24 };

typedef struct pl_axis {
  double low, high; /* low < high; both positive where `log` is set */
  bool log;
  int ticks;
  double tick[PL_AXIS_TICKS];
} pl_axis;

/* An axis for values in [low, high] with about `wanted` ticks at round values (wanted < 10). With
 * `widen` it reaches from a tick to a tick, otherwise from `low` to `high`. */
pl_axis pl_axis_linear(double low, double high, int wanted, bool widen);
/* In powers of ten; low > 0. */
pl_axis pl_axis_log(double low, double high);

/* Where a value lies, from 0 at the low end to 1 at the high one. */
double pl_axis_place(const pl_axis *axis, double value);

/* "0.05", "2k", "1e−4": as many digits as tell the ticks apart. */
void pl_axis_label(const pl_axis *axis, int tick, char label[PL_AXIS_LABEL]);

#endif
