/* Functions that a device works out less exactly than the processor. Device code gets their results
 * moved by the largest error that CUDA's programming guide states for them (its appendix on
 * mathematical functions; square roots and quotients are exact): tests hold in spite of it. */
#ifndef TESTS_EMULATION_INEXACT_H
#define TESTS_EMULATION_INEXACT_H

#include "tests/emulation/language.h"

/* So many steps up or down. Which it is depends on the leading bits, so that numbers near each
 * other are off the same way and sums of them don't even it out. What has to be exact is: zeros,
 * infinities, NaN, and 1, which is 2^0. */
inline float emulated_off(float exact, unsigned steps) {
  const unsigned bits = __float_as_uint(exact), magnitude = bits & 0x7FFFFFFFu;
  if (magnitude <= steps || magnitude + steps >= 0x7F800000u || exact == 1) return exact;
  const bool up = (bits >> 18) * 2654435761u >> 31 != 0;
  return __uint_as_float(up ? bits + steps : bits - steps);
}

#define expf(x) emulated_off(expf(x), 2)
#define exp2f(x) emulated_off(exp2f(x), 2)
#define pl_exp2(x) emulated_off(pl_exp2(x), 2) /* what exp2f is made of */
#define log2f(x) emulated_off(log2f(x), 1)
#define log1pf(x) emulated_off(log1pf(x), 1)
#define erfcf(x) emulated_off(erfcf(x), 4)
#define rsqrtf(x) emulated_off(rsqrtf(x), 2)
#define __fdividef(x, y) emulated_off(__fdividef(x, y), 2)

#endif
