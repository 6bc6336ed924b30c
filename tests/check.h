/* cmocka with what it wants included first, and comparisons that print both values. */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* after the above, which it does not include itself */
#include <cmocka.h>

#include "runtime/base/status.h"

/* The call must succeed; prints the reason where it does not. */
#define CHECK_OK(call)                                                                         \
  do {                                                                                         \
    pl_status check_status_ = (call);                                                          \
    if (check_status_ != PL_OK) {                                                              \
      print_error("%s failed with %d: %s\n", #call, check_status_, pl_last_reason()->message); \
      fail();                                                                                  \
    }                                                                                          \
  } while (0)

/* The call must fail with `code` and a message that holds `words`. */
#define CHECK_FAILS(code, words, call)                                                             \
  do {                                                                                             \
    pl_status check_status_ = (call);                                                              \
    if (check_status_ != (code) || !strstr(pl_last_reason()->message, (words))) {                  \
      print_error("%s: status %d, message \"%s\"; expected %d and \"%s\"\n", #call, check_status_, \
                  check_status_ ? pl_last_reason()->message : "", (int)(code), (words));           \
      fail();                                                                                      \
    }                                                                                              \
  } while (0)

/* |value - expected| <= tolerance * max(1, |expected|); a NaN never passes. */
#define CHECK_NEAR(value, expected, tolerance)                                                     \
  do {                                                                                             \
    double check_value_ = (value), check_expected_ = (expected);                                   \
    double check_scale_ = fabs(check_expected_) > 1 ? fabs(check_expected_) : 1;                   \
    if (!(fabs(check_value_ - check_expected_) <= (tolerance)*check_scale_)) {                     \
      print_error("%s = %.9g, expected %.9g within %g (relative above 1)\n", #value, check_value_, \
                  check_expected_, (double)(tolerance));                                           \
      fail();                                                                                      \
    }                                                                                              \
  } while (0)

#endif
