/* Sums whose order is written out.
 *
 * Left to itself, a compiler adds a vectorised sum in another order in each copy that it makes of a
 * loop (the first pass of an outer loop, a constant length), and one and the same row gets
 * different bits in different places. Where bits count, term i goes to lane i modulo PL_LANES, and
 * the lanes are folded in halves. */
#ifndef PL_BASE_LANES_H
#define PL_BASE_LANES_H

enum { PL_LANES = 32 };

static inline float pl_fold_f32(float lane[PL_LANES]) {
  for (int half = PL_LANES / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; k++) lane[k] += lane[k + half];
  }
  return lane[0];
}

static inline double pl_fold_f64(double lane[PL_LANES]) {
  for (int half = PL_LANES / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; k++) lane[k] += lane[k + half];
  }
  return lane[0];
}

#endif
