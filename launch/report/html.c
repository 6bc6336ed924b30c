#include "launch/report/html.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/base/progress.h"
#include "runtime/base/utf8.h"

#define DASH "\xE2\x80\x93"
#define MINUS "\xE2\x88\x92"
#define REPLACEMENT "\xEF\xBF\xBD"

/* Whether HTML allows a character: no control characters, and none that Unicode will never define.
 */
static bool is_allowed(uint32_t code) {
  if (code < 0x20) return code == '\n' || code == '\t';
  bool control = code >= 0x7F && code < 0xA0;
  bool none = (code & 0xFFFE) == 0xFFFE || (code >= 0xFDD0 && code < 0xFDF0);
  return !control && !none;
}

void pl_html_text(FILE *page, const char *text) {
  for (size_t left = strlen(text); left > 0;) {
    uint32_t code = 0;
    int bytes = pl_utf8_decode(text, left, &code);
    switch (*text) {
      case '&': fputs("&amp;", page); break;
      case '<': fputs("&lt;", page); break;
      case '>': fputs("&gt;", page); break;
      case '"': fputs("&quot;", page); break;
      case '\'': fputs("&#39;", page); break;
      default:
        if (is_allowed(code)) {
          fwrite(text, 1, (size_t)bytes, page);
        } else {
          fputs(REPLACEMENT, page);
        }
    }
    size_t passed = bytes > 0 ? (size_t)bytes : 1;
    text += passed;
    left -= passed;
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
