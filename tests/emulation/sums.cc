#include "tests/emulation/sums.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* 2^e of the largest power that is not above |value|, which is not 0. */
static int exponent(double value) { return ilogb(value); }

/* The next f32 towards zero where `value` is none. */
static float cut(double value) {
  float near = (float)value;
  return fabs((double)near) > fabs(value) ? nextafterf(near, 0) : near;
}

float emulated_cut_sum(float sum, const float *left, const float *right, int count) {
  double term[EMULATED_GROUP + 1] = {(double)sum}, plain = (double)sum;
  int largest = INT32_MIN;
  for (int i = 0; i < count; i++)
    plain += term[i + 1] = (double)left[i] * (double)right[i]; /* exact */
  if (count == 0 || !isfinite(plain)) return (float)plain;
  for (int i = 0; i <= count; i++)
    if (term[i] != 0 && exponent(term[i]) > largest) largest = exponent(term[i]);
  if (largest == INT32_MIN) return 0;
  const double last = ldexp(1, largest - 23);
  double total = 0;
  for (int i = 0; i <= count; i++) total += trunc(term[i] / last) * last;
  return cut(total);
}

float emulated_tf32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (isfinite(value)) bits &= ~(uint32_t)0x1FFF;
  memcpy(&value, &bits, sizeof bits);
  return value;
}

void emulated_sum::add(float left, float right) {
  if (!cores) {
    sum = fmaf(left, right, sum);
    return;
  }
  lefts[pending] = left;
  rights[pending++] = right;
  if (pending < EMULATED_GROUP) return;
  sum = emulated_cut_sum(sum, lefts, rights, pending);
  pending = 0;
}
