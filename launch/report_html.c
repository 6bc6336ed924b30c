#include "launch/report_html.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/base/progress.h"

#define DASH "\xE2\x80\x93"
#define MINUS "\xE2\x88\x92"
#define REPLACEMENT "\xEF\xBF\xBD"

/* Bytes of the UTF-8 character at `s` that HTML allows, 0 where there is none. */
static size_t character_bytes(const unsigned char *s) {
  static const uint32_t least[] = {0, 0x20, 0x80, 0x800, 0x10000}; /* coded in no fewer bytes */
  size_t bytes = s[0] < 0x80 ? 1 : s[0] < 0xC0 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
  if (bytes == 0 || s[0] >= 0xF8) return 0;
  uint32_t code = bytes == 1 ? s[0] : s[0] & (0x7Fu >> bytes);
  for (size_t i = 1; i < bytes; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0;
    code = code << 6 | (s[i] & 0x3Fu);
  }
  bool surrogate = code >= 0xD800 && code < 0xE000;
  bool control = code >= 0x7F && code < 0xA0;
  bool none = (code & 0xFFFE) == 0xFFFE || (code >= 0xFDD0 && code < 0xFDF0);
  if (code == '\n' || code == '\t') return 1;
  return code < least[bytes] || code > 0x10FFFF || surrogate || control || none ? 0 : bytes;
}

void pl_html_text(FILE *page, const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  while (*s) {
    size_t bytes = character_bytes(s);
    switch (*s) {
      case '&': fputs("&amp;", page); break;
      case '<': fputs("&lt;", page); break;
      case '>': fputs("&gt;", page); break;
      case '"': fputs("&quot;", page); break;
      case '\'': fputs("&#39;", page); break;
      default:
        if (bytes == 0) {
          fputs(REPLACEMENT, page);
        } else {
          fwrite(s, 1, bytes, page);
        }
    }
    s += bytes > 0 ? bytes : 1;
  }
}

/* Digits in groups of three. */
static void put_grouped(FILE *page, const char *digits) {
  for (size_t left = strlen(digits); left > 0; left--) {
    putc(*digits++, page);
    if (left > 1 && left % 3 == 1) putc(',', page);
  }
}

void pl_html_number(FILE *page, double value) {
  char text[64];
  if (!isfinite(value)) {
    fputs(DASH, page);
    return;
  }
  if (value < 0) fputs(MINUS, page);
  double size = fabs(value);
  if (size >= 1000 && size < 1e15) {
    snprintf(text, sizeof text, "%.0f", size);
    put_grouped(page, text);
    return;
  }
  snprintf(text, sizeof text, "%.4g", size);
  char *minus = strstr(text, "e-");
  if (minus) {
    *minus = '\0';
    const char *exponent = minus + 2;
    fprintf(page, "%se" MINUS "%s", text, *exponent == '0' ? exponent + 1 : exponent);
  } else {
    fputs(text, page);
  }
}

void pl_html_count(FILE *page, int64_t count) {
  char digits[32];
  snprintf(digits, sizeof digits, "%lld", count < 0 ? -(long long)count : (long long)count);
  if (count < 0) fputs(MINUS, page);
  put_grouped(page, digits);
}

void pl_html_bytes(FILE *page, double bytes) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  int unit = 0;
  if (!isfinite(bytes)) {
    fputs(DASH, page);
    return;
  }
  for (; unit < 5 && bytes >= 999.5; unit++) bytes /= 1000;
  fprintf(page, "%.3g %s", bytes, units[unit]);
}

void pl_html_time(FILE *page, double ms) {
  char text[32];
  if (!isfinite(ms) || ms < 0 || ms > 1e15) {
    fputs(DASH, page);
  } else if (ms < 999.5) {
    fprintf(page, "%.3g ms", ms);
  } else if (ms < 59950) {
    fprintf(page, "%.1f s", ms / 1e3);
  } else {
    pl_progress_time(ms / 1e3, text);
    fprintf(page, "%s %s", text, ms < 3599500 ? "min" : "h");
  }
}

void pl_html_share(FILE *page, double share) {
  if (isfinite(share)) {
    fprintf(page, "%.1f %%", 100 * share);
  } else {
    fputs(DASH, page);
  }
}
