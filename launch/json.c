#include "launch/json.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* Length of the UTF-8 sequence (RFC 3629) at `text`, 0 where there is none. */
static int sequence_length(const unsigned char *text) {
  int length = text[0] < 0x80 ? 1 : text[0] >= 0xF0 ? 4 : text[0] >= 0xE0 ? 3 : 2;
  if (text[0] >= 0xF5 || (text[0] >= 0x80 && text[0] < 0xC2)) return 0;
  for (int i = 1; i < length; i++) {
    if ((text[i] & 0xC0) != 0x80) return 0;
  }
  bool too_long = (text[0] == 0xE0 && text[1] < 0xA0) || (text[0] == 0xF0 && text[1] < 0x90);
  bool surrogate = text[0] == 0xED && text[1] >= 0xA0;
  bool too_large = text[0] == 0xF4 && text[1] >= 0x90;
  return too_long || surrogate || too_large ? 0 : length;
}

void pl_json_text(FILE *file, const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  putc('"', file);
  while (*s) {
    int length = sequence_length(s);
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
