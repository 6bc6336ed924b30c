/* The arithmetic of GELU on one element, written once for all who compute it: y = x s(x), and
 * backward dx = dy (s(x) + x s'(x)).
 *
 * Whoever includes it says what functions begin with (PL_GELU_CODE), and how powers of two
 * (PL_GELU_EXP2, of what is not above zero) and inverses (PL_GELU_INVERSE, of what is not below
 * one) are worked out. */
#ifndef PL_NET_GELU_ELEMENT_H
#define PL_NET_GELU_ELEMENT_H

#include <math.h>

#include "runtime/base/vexp.h"

/* Φ(x), the normal distribution; *slope is its density. For q = Φ(-|x|), q exp(x²/2) is a
 * polynomial in 1 / (1 + 0.3 |x|), fitted for the least relative error: 1.2e-7 up to |x| = 13,
 * where q is below the smallest float. The form is that of Abramowitz & Stegun 7.1.26. */
PL_GELU_CODE float pl_gelu_normal_share(float x, float *slope) {
  const float inverse_root = 0.398942280F; /* 1 / sqrt(2 π) */
  float size = fabsf(x), t = PL_GELU_INVERSE(1.0F + 0.3F * size);
  float density = PL_GELU_EXP2(size * size * (float)(-0.5 * PL_LOG2_E));
  float p = 0.0361935559F;
  p = p * t - 0.159372604F;
  p = p * t + 0.210108048F;
  p = p * t - 0.0571573491F;
  p = p * t + 0.130410877F;
  p = p * t + 0.0993489047F;
  p = p * t + 0.120845229F;
  p = p * t + 0.119623283F;
  float tail = density * p * t;
  *slope = density * inverse_root;
  return x > 0 ? 1.0F - tail : tail;
}

/* The logistic function of 1.702 x, and its slope. */
PL_GELU_CODE float pl_gelu_quick_share(float x, float *slope) {
  const float steepness = 1.702F;
  float e = PL_GELU_EXP2(fabsf(x) * (float)(-1.702 * PL_LOG2_E));
  float whole = PL_GELU_INVERSE(1.0F + e);
  *slope = steepness * e * whole * whole;
  return x > 0 ? whole : e * whole;
}

#endif
