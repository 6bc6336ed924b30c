/* 2^x in single precision, written so that compilers turn a loop over it into vector code. */
#ifndef PL_BASE_VEXP_H
#define PL_BASE_VEXP_H

#include <stdint.h>

/* log2(e): e^x = 2^(x * PL_LOG2_E); callers fold it into a factor that they multiply by anyway. */
#define PL_LOG2_E 1.4426950408889634

/* 2^x within 1.5 units in the last place for x below 127.5: 0 below -126 (no denormal results), NaN
 * for NaN. Meaningless above.
 *
 * x = n + r with n the nearest integer; 2^r on [-1/2, 1/2] is a polynomial of least relative error
 * with 2^0 = 1 exact; 2^n is put together from bits. */
static inline float pl_exp2f(float x) {
  union {
    float value;
    uint32_t bits;
  } whole, power;
  /* Adding 1.5·2^23 leaves no bits for a fraction: the sum's lowest bits are n. */
  const float shift = 12582912.0f;
  whole.value = x + shift;
  float r = x - (whole.value - shift);
  power.bits = (whole.bits + 127u) << 23;

  float p = 0x1.41fbbcp-13f;
  p = p * r + 0x1.5f3e52p-10f;
  p = p * r + 0x1.3b2d4cp-7f;
  p = p * r + 0x1.c6aee8p-5f;
  p = p * r + 0x1.ebfbdcp-3f;
  p = p * r + 0x1.62e430p-1f;
  p = p * r + 1.0f;
  /* Multiplying, not adding to the exponent bits, keeps a NaN a NaN. */
  float result = p * power.value;
  return x < -126.0f ? 0.0f : result;
}

#endif
