/* Sums of products as a device makes them, which are less exact than a processor's: tests have to
 * hold with these errors. */
#ifndef TESTS_EMULATION_SUMS_H
#define TESTS_EMULATION_SUMS_H

/* What tensor cores add at once. */
enum { EMULATED_GROUP = 8 };

/* sum + Σ left[i] right[i] over up to a group of products as tensor cores add them (M. Fasi et al.,
 * Numerical behavior of NVIDIA tensor cores, 2021): all terms are brought to the exponent of the
 * largest of them, what then lies behind the last of 24 bits is cut off, and so is what lies behind
 * those of their sum. Newer devices keep a bit or two more. */
float emulated_cut_sum(float sum, const float *left, const float *right, int count);

/* What of an f32 tensor cores read as tf32: 10 bits behind the first. */
float emulated_tf32(float value);

/* A sum to which products are added one after another. */
class emulated_sum {
 public:
  /* From zero, by tensor cores or by f32 multiply-adds. */
  explicit emulated_sum(bool tensor_cores = false) : cores(tensor_cores) {}
  void add(float left, float right);
  float value() const { return emulated_cut_sum(sum, lefts, rights, pending); }

 private:
  bool cores;
  int pending = 0; /* of the next group */
  float sum = 0, lefts[EMULATED_GROUP] = {}, rights[EMULATED_GROUP] = {};
};

#endif
