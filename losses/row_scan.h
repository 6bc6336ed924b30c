/* The largest similarity of a row and sums of powers over it, in fixed lanes: the same bits
 * wherever the row is computed. */
#ifndef LOSSES_ROW_SCAN_H
#define LOSSES_ROW_SCAN_H

#include "runtime/base/lanes.h"
#include "runtime/base/vexp.h"

/* The largest of `top` and s, NaN left out. By lanes of our own, since clang makes no vector code
 * of a floating-point maximum over a loop. */
static inline float pl_largest(const float *s, int n, float top) {
  float lane[PL_LANES];
  int j = 0;
  for (int k = 0; k < PL_LANES; k++) lane[k] = top;
  for (; j + PL_LANES <= n; j += PL_LANES)
    for (int k = 0; k < PL_LANES; k++) lane[k] = s[j + k] > lane[k] ? s[j + k] : lane[k];
  for (; j < n; j++) top = s[j] > top ? s[j] : top;
  for (int k = 0; k < PL_LANES; k++) top = lane[k] > top ? lane[k] : top;
  return top;
}

/* Σ 2^{steep·s − base}; a NaN comes through. */
static inline float pl_sum_powers(const float *s, int n, float steep, float base) {
  float lane[PL_LANES] = {0};
  int j = 0;
  for (; j + PL_LANES <= n; j += PL_LANES) {
    for (int k = 0; k < PL_LANES; k++) lane[k] += pl_exp2f(s[j + k] * steep - base);
  }
  for (int k = 0; j + k < n; k++) lane[k] += pl_exp2f(s[j + k] * steep - base);
  return pl_fold_f32(lane);
}

#endif
