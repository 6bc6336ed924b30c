#include "launch/plan/size.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "kMGT";

static bool parse_unit(const char *unit, double *factor) {
  *factor = 1;
  if (unit[0] == '\0' || strcmp(unit, "B") == 0) return true;
  const char *at = strchr(letters, unit[0] == 'K' ? 'k' : unit[0]);
  if (!at) return false;
  double power = (double)(at - letters + 1);
  bool decimal = strcmp(unit + 1, "B") == 0;
  *factor = pow(decimal ? 1000 : 1024, power);
  return decimal || unit[1] == '\0' || strcmp(unit + 1, "iB") == 0;
}

bool pl_size_parse(const char *text, size_t *bytes) {
  char *end;
  double number = strtod(text, &end), factor;
  while (*end == ' ') end++;
  if (end == text || !parse_unit(end, &factor)) return false;
  if (!(number > 0) || number * factor >= (double)SIZE_MAX) return false;
  *bytes = (size_t)(number * factor);
  return true;
}

const char *pl_size_text(size_t bytes, char text[PL_SIZE_TEXT]) {
  double value = (double)bytes;
  int unit = 0; /* of thousands */
  /* What would be printed as 1000 belongs to the next unit. */
  for (; value >= 999.5 && unit < 4; unit++) value /= 1000;
  if (unit == 0) {
    snprintf(text, PL_SIZE_TEXT, "%zu B", bytes);
  } else {
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(text, PL_SIZE_TEXT, "%.*f %cB", decimals, value, letters[unit - 1]);
  }
  return text;
}
