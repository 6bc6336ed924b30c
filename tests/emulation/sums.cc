#include "tests/emulation/sums.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* As it stands in the number: 1023 for [1, 2), 2047 for what is not finite. */
static int exponent(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return (int)(bits >> 52 & 0x7FF);
}

/* Without what lies behind its first 24 bits. */
static int64_t cut(int64_t value) {
  int64_t size = value < 0 ? -value : value;
  int behind = 0;
  while (size >> behind >= 1 << 24) behind++;
  size = size >> behind << behind;
  return value < 0 ? -size : size;
}

float emulated_cut_sum(float sum, const float *left, const float *right, int count) {
  double term[EMULATED_GROUP + 1] = {(double)sum};
  int largest = exponent(term[0]);
  for (int i = 0; i < count; i++) {
    term[i + 1] = (double)left[i] * (double)right[i]; /* exact */
    int own = exponent(term[i + 1]);
    if (own > largest) largest = own;
  }
  if (count == 0 || largest == 0) return sum;
  if (largest == 2047) {
    for (int i = 1; i <= count; i++) term[0] += term[i];
    return (float)term[0];
  }
  const double last = ldexp(1, largest - 1023 - 23), per_last = 1 / last;
  int64_t total = 0;
  for (int i = 0; i <= count; i++) total += (int64_t)(term[i] * per_last);
  return (float)((double)cut(total) * last);
}

float emulated_tf32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (isfinite(value)) bits &= ~(uint32_t)0x1FFF;
  memcpy(&value, &bits, sizeof bits);
  return value;
}
