#include "launch/report/curve.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/memory.h"

static pl_status allocate(pl_curve *curve, int64_t room) {
  curve->x = pl_alloc((size_t)room, sizeof *curve->x);
  curve->y = pl_alloc((size_t)room, sizeof *curve->y);
  curve->starts = pl_alloc((size_t)room, sizeof *curve->starts);
  return curve->x && curve->y && curve->starts ? PL_OK : PL_E_INTERNAL;
}

void pl_curve_free(pl_curve *curve) {
  pl_free(curve->x);
  pl_free(curve->y);
  pl_free(curve->starts);
  *curve = (pl_curve){.count = 0};
}

static void append(pl_curve *curve, double x, double y, bool starts) {
  curve->x[curve->count] = x;
  curve->y[curve->count] = y;
  curve->starts[curve->count++] = starts;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The median, as a single gap or a last odd step must not set the measure. */
static pl_status usual_distance(const pl_curve *curve, double *distance) {
  *distance = 0;
  if (curve->count < 2) return PL_OK;
  size_t count = (size_t)curve->count - 1;
  double *distances = pl_alloc(count, sizeof *distances);
  if (!distances) return PL_E_INTERNAL;
  for (size_t i = 0; i < count; i++) distances[i] = curve->x[i + 1] - curve->x[i];
  qsort(distances, count, sizeof *distances, compare_doubles);
  *distance = distances[count / 2];
  pl_free(distances);
  return PL_OK;
}

pl_status pl_curve_from(const double *x, const double *y, int64_t count, pl_curve *out) {
  PL_TRY(allocate(out, count));
  bool missing = true; /* something before the point */
  for (int64_t i = 0; i < count; i++) {
    bool finite = isfinite(x[i]) && isfinite(y[i]);
    if (finite) append(out, x[i], y[i], missing);
    missing = !finite;
  }
  double distance = 0;
  PL_TRY(usual_distance(out, &distance));
  for (int64_t i = 1; i < out->count; i++) {
    out->starts[i] = out->starts[i] && out->x[i] - out->x[i - 1] > 1.5 * distance;
  }
  return PL_OK;
}

/* Index behind the stretch that begins at `first`. */
static int64_t stretch_end(const pl_curve *curve, int64_t first) {
  int64_t end = first + 1;
  while (end < curve->count && !curve->starts[end]) end++;
  return end;
}

/* Sums of whole windows without a subtraction, which after a spike would leave nothing but
 * rounding: in pieces of a window's length, sums from the piece's start and to its end. A window is
 * the end of one piece and the start of the next. */
typedef struct window_sums {
  int64_t window;
  double *from_start, *to_end; /* (count) */
} window_sums;

static pl_status prepare_sums(const pl_curve *curve, int64_t window, window_sums *sums) {
  int64_t last = curve->count - 1;
  *sums = (window_sums){.window = window};
  sums->from_start = pl_alloc((size_t)curve->count, sizeof *sums->from_start);
  sums->to_end = pl_alloc((size_t)curve->count, sizeof *sums->to_end);
  if (!sums->from_start || !sums->to_end) return PL_E_INTERNAL;
  for (int64_t i = 0; i <= last; i++) {
    sums->from_start[i] = curve->y[i] + (i % window > 0 ? sums->from_start[i - 1] : 0);
  }
  for (int64_t i = last; i >= 0; i--) {
    bool ends = i == last || i % window == window - 1;
    sums->to_end[i] = curve->y[i] + (ends ? 0 : sums->to_end[i + 1]);
  }
  return PL_OK;
}

/* Of points low to high, a window or less. */
static double mean_of(const window_sums *sums, const pl_curve *curve, int64_t low, int64_t high) {
  double sum = 0;
  if (high - low + 1 == sums->window) {
    sum = sums->from_start[high] + (low % sums->window > 0 ? sums->to_end[low] : 0);
  } else {
    for (int64_t i = low; i <= high; i++) sum += curve->y[i];
  }
  return sum / (double)(high - low + 1);
}

pl_status pl_curve_smooth(const pl_curve *curve, int64_t window, pl_curve *out) {
  window_sums sums;
  pl_status status = prepare_sums(curve, window, &sums);
  if (status == PL_OK) status = allocate(out, curve->count);
  for (int64_t first = 0, end = 0; status == PL_OK && first < curve->count; first = end) {
    end = stretch_end(curve, first);
    for (int64_t i = first; i < end; i++) {
      int64_t reach = i - first < window / 2 ? i - first : window / 2;
      int64_t high = i + reach < end ? i + reach : end - 1;
      append(out, curve->x[i], mean_of(&sums, curve, i - reach, high), i == first);
    }
  }
  pl_free(sums.from_start);
  pl_free(sums.to_end);
  return status;
}

/* Points [first, end) as their lowest and highest one, in the order in which they come. */
static void append_extremes(const pl_curve *curve, int64_t first, int64_t end, pl_curve *out) {
  int64_t lowest = first, highest = first;
  for (int64_t i = first; i < end; i++) {
    if (curve->y[i] < curve->y[lowest]) lowest = i;
    if (curve->y[i] > curve->y[highest]) highest = i;
  }
  int64_t early = lowest < highest ? lowest : highest;
  int64_t late = lowest < highest ? highest : lowest;
  append(out, curve->x[early], curve->y[early], curve->starts[first]);
  if (late != early) append(out, curve->x[late], curve->y[late], false);
}

pl_status pl_curve_thin(const pl_curve *curve, double low, double high, int buckets,
                        pl_curve *out) {
  PL_TRY(allocate(out, curve->count));
  double width = (high - low) / buckets;
  for (int64_t first = 0, end = 0; first < curve->count; first = end) {
    double bucket = floor((curve->x[first] - low) / width);
    for (end = first + 1; end < curve->count && !curve->starts[end]; end++) {
      if (floor((curve->x[end] - low) / width) > bucket) break;
    }
    append_extremes(curve, first, end, out);
  }
  return PL_OK;
}
