#include "runtime/config/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* strtoll and strtod take blanks, hexadecimal and words such as "nan"; this rules them out. */
static bool consists_of(const char *text, const char *allowed) {
  return *text != '\0' && text[strspn(text, allowed)] == '\0';
}

bool pl_parse_integer(const char *text, int64_t *value) {
  if (!consists_of(text, "+-0123456789")) return false;
  char *end = NULL;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  if (errno != 0 || *end != '\0') return false;
  *value = number;
  return true;
}

bool pl_parse_real(const char *text, double *value) {
  if (!consists_of(text, "+-.0123456789eE")) return false;
  char *end = NULL;
  double number = strtod(text, &end);
  if (*end != '\0' || end == text || !isfinite(number)) return false;
  *value = number;
  return true;
}

void pl_format_real(double value, char out[PL_REAL_TEXT]) {
  /* Whole numbers in full, as people write them; doubles hold all of these exactly. */
  if (fabs(value) < 1e15 && value == trunc(value)) {
    snprintf(out, PL_REAL_TEXT, "%.0f", value);
    return;
  }
  for (int digits = 1; digits <= 17; digits++) { /* 17 always suffice for a double */
    snprintf(out, PL_REAL_TEXT, "%.*g", digits, value);
    if (strtod(out, NULL) == value) break;
  }
  /* YAML 1.1 readers take "1e-05" for a text and "1.0e-05" for a number. */
  char *exponent = strchr(out, 'e');
  if (exponent && !strchr(out, '.')) {
    memmove(exponent + 2, exponent, strlen(exponent) + 1);
    exponent[0] = '.';
    exponent[1] = '0';
  }
}

static const struct {
  const char *name;
  double seconds;
} time_units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
enum { TIME_UNITS = sizeof time_units / sizeof time_units[0] };

/* Hours, minutes and seconds in whole numbers, the latter two below 60. */
static bool parse_clock(const char *text, double *seconds) {
  static const char digits[] = "0123456789";
  double total = 0;
  for (int part = 0; part < 3; part++) {
    size_t length = strspn(text, digits);
    if (length == 0 || length > 9 || (part > 0 && length > 2)) return false;
    long number = strtol(text, NULL, 10);
    if ((part > 0 && number >= 60) || text[length] != (part < 2 ? ':' : '\0')) return false;
    total = 60 * total + (double)number;
    text += length + 1;
  }
  *seconds = total;
  return true;
}

bool pl_parse_time(const char *text, double *seconds) {
  if (strchr(text, ':')) return parse_clock(text, seconds);
  size_t length = strcspn(text, " ");
  char amount[PL_REAL_TEXT] = "";
  if (length >= sizeof amount || text[length] == '\0') return false;
  memcpy(amount, text, length);
  for (int k = 0; k < TIME_UNITS; k++) {
    double number = 0;
    if (strcmp(text + length + 1, time_units[k].name) != 0) continue;
    if (!pl_parse_real(amount, &number) || !isfinite(number * time_units[k].seconds)) return false;
    *seconds = number * time_units[k].seconds;
    return true;
  }
  return false;
}

void pl_format_time(double seconds, char out[PL_REAL_TEXT]) {
  int k = 0;
  /* A product with a unit could round where doubles no longer hold all whole numbers. */
  if (fabs(seconds) >= 1e15) k = TIME_UNITS - 1;
  while (k < TIME_UNITS - 1 && fmod(seconds, time_units[k].seconds) != 0) k++;
  pl_format_real(seconds / time_units[k].seconds, out);
  size_t length = strlen(out); /* at most 24: sign, 17 digits, point, exponent of 5 */
  snprintf(out + length, PL_REAL_TEXT - length, " %s", time_units[k].name);
}

const char *pl_choice_word(const char *choices, int64_t index, size_t *length) {
  for (const char *word = choices; index >= 0; index--) {
    *length = strcspn(word, "|");
    if (index == 0) return word;
    if (word[*length] == '\0') return NULL;
    word += *length + 1;
  }
  return NULL;
}

int pl_choice_find(const char *choices, const char *word) {
  size_t length = 0;
  const char *choice = NULL;
  for (int k = 0; (choice = pl_choice_word(choices, k, &length)) != NULL; k++) {
    if (strlen(word) == length && memcmp(word, choice, length) == 0) return k;
  }
  return -1;
}

static int least(int a, int b) { return a < b ? a : b; }

int pl_edit_distance(const char *a, const char *b) {
  enum { MOST = 63 };
  int rows = (int)strnlen(a, MOST), cols = (int)strnlen(b, MOST);
  int row[MOST + 1]; /* distances of the first i bytes of a to each beginning of b */
  for (int j = 0; j <= cols; j++) row[j] = j;
  for (int i = 1; i <= rows; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= cols; j++) {
      int replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = least(replaced, least(row[j], row[j - 1]) + 1);
    }
  }
  return row[cols];
}

const char *pl_shown(const char *text, char out[PL_SHOWN_TEXT]) {
  size_t length = strnlen(text, PL_SHOWN_TEXT);
  bool cut = length == PL_SHOWN_TEXT;
  if (cut) {
    length = PL_SHOWN_TEXT - 4;
    /* not in the middle of a UTF-8 sequence */
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) length--;
  }
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    out[i] = (char)(byte < 0x20 || byte == 0x7F ? '?' : byte);
  }
  out[length] = '\0';
  if (cut) memcpy(out + length, "...", 4);
  return out;
}
