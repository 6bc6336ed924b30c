#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launch/report/curve.h"

/* Reciprocals of what is larger are finite, with room for steps in between. */
static const double smallest = 1e-300;

/* The smallest of 1, 2, 5 times a power of ten that is no less than `least`. */
static double round_up(double least) {
  double power = pow(10, floor(log10(least)));
  double digits = least / power;
  /* A hair's breadth for quotients that rounding has lifted. */
  return power * (digits <= 1 + 1e-9 ? 1 : digits <= 2 + 1e-9 ? 2 : digits <= 5 + 1e-9 ? 5 : 10);
}

pl_axis pl_axis_linear(double low, double high, int wanted, bool widen) {
  /* Where all values are (nearly) the same, some room around them. */
  double size = fmax(fabs(low), fabs(high));
  if (high - low <= fmax(1e-6 * size, smallest)) {
    double room = size > smallest ? 0.1 * size : 1;
    low -= widen ? room : 0;
    high += room;
  }
  pl_axis axis = {.low = low, .high = high};
  double step = round_up((high - low) / wanted);
  int64_t first = (int64_t)(widen ? floor(low / step + 1e-9) : ceil(low / step - 1e-9));
  int64_t last = (int64_t)(widen ? ceil(high / step - 1e-9) : floor(high / step + 1e-9));
  for (int64_t k = first; k <= last && axis.ticks < PL_AXIS_TICKS; k++) {
    axis.tick[axis.ticks++] = (double)k * step;
  }
  if (widen && axis.ticks > 1) {
    axis.low = axis.tick[0];
    axis.high = axis.tick[axis.ticks - 1];
  }
  return axis;
}

pl_axis pl_axis_log(double low, double high) {
  static const double mantissa[] = {1, 2, 5};
  int first = (int)floor(log10(low)), last = (int)floor(log10(high));
  /* Over many decades only some of them, over a few also what lies between. */
  int stride = 1 + (last - first) / 8;
  int kinds = last - first < 3 ? 3 : 1;
  pl_axis axis = {.log = true, .low = low, .high = high};
  for (int k = first; k <= last; k += stride) {
    for (int m = 0; m < kinds; m++) {
      double tick = mantissa[m] * pow(10, k);
      if (tick >= low * 0.999 && tick <= high * 1.001 && axis.ticks < PL_AXIS_TICKS) {
        axis.tick[axis.ticks++] = tick;
      }
    }
  }
  return axis;
}

double pl_axis_place(const pl_axis *axis, double value) {
  if (!axis->log) return (value - axis->low) / (axis->high - axis->low);
  return (log(value) - log(axis->low)) / (log(axis->high) - log(axis->low));
}

/* Digits after the point that tell multiples of `step` apart. */
static int decimals_of(double step) {
  int decimals = 0;
  while (decimals < 9 && fabs(step - round(step)) > 1e-6 * step) {
    step *= 10;
    decimals++;
  }
  return decimals;
}

/* A typographical minus, which is as wide as a plus. */
static void put_minus(const char *plain, char label[PL_AXIS_LABEL]) {
  size_t used = 0;
  for (; *plain && used + 4 < PL_AXIS_LABEL; plain++) {
    if (*plain == '-') {
      used += (size_t)snprintf(label + used, PL_AXIS_LABEL - used, "\xE2\x88\x92");
    } else {
      label[used++] = *plain;
    }
  }
  label[used] = '\0';
}

/* "1e-05" is better read as "1e-5". */
static void shorten_exponent(char *number) {
  char *exponent = strchr(number, 'e');
  if (exponent && exponent[2] == '0') memmove(exponent + 2, exponent + 3, strlen(exponent + 2));
}

void pl_axis_label(const pl_axis *axis, int tick, char label[PL_AXIS_LABEL]) {
  static const struct {
    double unit;
    const char *letter;
  } units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  double value = axis->tick[tick];
  /* Ticks of a linear axis share one unit; on a logarithmic one each has its own. */
  double step = fabs(value), largest = fabs(value);
  if (!axis->log && axis->ticks > 1) {
    step = axis->tick[1] - axis->tick[0];
    largest = fmax(fabs(axis->tick[0]), fabs(axis->tick[axis->ticks - 1]));
  }
  char plain[PL_AXIS_LABEL];
  if (value != 0 && (largest >= 1e12 || largest < 1e-3)) {
    snprintf(plain, sizeof plain, "%.3g", value);
    shorten_exponent(plain);
  } else {
    size_t i = 0;
    while (i < 3 && (largest < 1e4 || largest < units[i].unit || value == 0)) i++;
    double unit = i < 3 ? units[i].unit : 1;
    int decimals = value == 0 ? 0 : decimals_of(step / unit);
    snprintf(plain, sizeof plain, "%.*f%s", decimals, value / unit, i < 3 ? units[i].letter : "");
  }
  put_minus(plain, label);
}
