/* log(1 + x) in single precision, written so that compilers turn a loop over it into vector code.
 */
#ifndef LOSSES_VLOG_H
#define LOSSES_VLOG_H

/* log(1 + x) within 2 units in the last place for x in [0, 1]; NaN for NaN. Meaningless elsewhere.
 *
 * log(1 + x) = x + x²·R(x), R a polynomial of least relative error of the whole: small x keep all
 * their digits. */
static inline float pl_log1pf(float x) {
  float r = 0x1.5f96b0p-8f;
  r = r * x - 0x1.ec98f4p-6f;
  r = r * x + 0x1.446beep-4f;
  r = r * x - 0x1.19ad84p-3f;
  r = r * x + 0x1.88444ep-3f;
  r = r * x - 0x1.fd1320p-3f;
  r = r * x + 0x1.5535dap-2f;
  r = r * x - 0x1.ffff14p-2f;
  return x + x * x * r;
}

#endif
