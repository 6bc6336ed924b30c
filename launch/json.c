#include "launch/json.h"

#include <math.h>
#include <string.h>

#include "runtime/base/utf8.h"

void pl_json_text(FILE *file, const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  const unsigned char *end = s + strlen(text);
  putc('"', file);
  while (s < end) {
    int length = pl_utf8_length((const char *)s, (size_t)(end - s));
    if (length == 0) {
      fputs("\\ufffd", file);
      s++;
    } else if (*s == '"' || *s == '\\') {
      fprintf(file, "\\%c", *s++);
    } else if (*s < 0x20 || *s == 0x7F) {
      fprintf(file, "\\u%04x", *s++);
    } else if (*s == 0xC2 && s[1] < 0xA0) { /* the other control characters, which YAML refuses */
      fprintf(file, "\\u%04x", s[1]);
      s += 2;
    } else {
      fwrite(s, 1, (size_t)length, file);
      s += length;
    }
  }
  putc('"', file);
}

void pl_json_number(FILE *file, double value) {
  if (isfinite(value)) {
    fprintf(file, "%.9g", value);
  } else {
    fputs("null", file);
  }
}
