/* Sums of products as a device makes them, which are less exact than a processor's: tests have to
 * hold with these errors. */
#ifndef TESTS_EMULATION_SUMS_H
#define TESTS_EMULATION_SUMS_H

#include <math.h>
#include <stdint.h>

/* What tensor cores add at once. */
enum { EMULATED_GROUP = 8 };

/* sum + Σ left[i] right[i] over up to a group of products as tensor cores add them (M. Fasi et al.,
 * Numerical behavior of NVIDIA tensor cores, 2021): all terms are brought to the exponent of the
 * largest of them, what then lies behind the last of 24 bits is cut off, and so is what lies behind
 * those of their sum. Newer devices keep a bit or two more. */
float emulated_cut_sum(float sum, const float *left, const float *right, int count);

/* What of an f32 tensor cores read as tf32: 10 bits behind the first. */
float emulated_tf32(float value);

/* Sums to which products are added one after another, from zero: by f32 multiply-adds, */
class emulated_plain_sum {
 public:
  void add(float left, float right) { sum = fmaf(left, right, sum); }
  float value() const { return sum; }

 private:
  float sum = 0;
};

/* or by tensor cores. */
class emulated_core_sum {
 public:
  void add(float left, float right) {
    lefts[pending] = left;
    rights[pending++] = right;
    if (pending < EMULATED_GROUP) return;
    sum = emulated_cut_sum(sum, lefts, rights, pending);
    pending = 0;
  }
  float value() const { return emulated_cut_sum(sum, lefts, rights, pending); }

 private:
  int pending = 0; /* of the next group */
  float sum = 0, lefts[EMULATED_GROUP] = {}, rights[EMULATED_GROUP] = {};
};

/* Adds a product to each of `count` sums, all of which have one factor in common. */
template <typename Sum>
inline void emulated_add_products(Sum *__restrict sums, float left, const float *right,
                                  int64_t count) {
  for (int64_t i = 0; i < count; i++) sums[i].add(left, right[i]);
}

#endif
