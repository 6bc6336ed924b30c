#include "runtime/store/safetensors_text.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/utf8.h"

pl_status pl_header_fail(const pl_header_text *text, const char *format, ...) {
  char what[512];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  return PL_FAIL(PL_E_DATA, "%s: byte %td of the header: %s", text->path, text->at - text->start,
                 what);
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static void skip_blanks(pl_header_text *text) {
  while (text->at < text->end && is_blank(*text->at)) text->at++;
}

bool pl_header_take(pl_header_text *text, char wanted) {
  skip_blanks(text);
  if (text->at == text->end || *text->at != wanted) return false;
  text->at++;
  return true;
}

pl_status pl_header_expect(pl_header_text *text, char wanted) {
  if (pl_header_take(text, wanted)) return PL_OK;
  return pl_header_fail(text, "'%c' is expected here", wanted);
}

bool pl_header_at_end(pl_header_text *text) {
  skip_blanks(text);
  return text->at == text->end;
}

/* ---- characters ---- */

enum { HIGH_SURROGATE = 0xD800, LOW_SURROGATE = 0xDC00, SURROGATES = 0x400 };

static bool is_surrogate(uint32_t rune, uint32_t kind) { return rune - kind < SURROGATES; }

static pl_status take_utf8(pl_header_text *text, uint32_t *rune) {
  int length = pl_utf8_decode(text->at, (size_t)(text->end - text->at), rune);
  if (length == 0) return pl_header_fail(text, "no UTF-8");
  text->at += length;
  return PL_OK;
}

static pl_status take_hex4(pl_header_text *text, uint32_t *value) {
  *value = 0;
  for (int i = 0; i < 4; i++) {
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *digit =
        text->at < text->end && *text->at != '\0' ? strchr(digits, *text->at) : NULL;
    if (!digit) return pl_header_fail(text, "\\u takes four hexadecimal digits");
    uint32_t place = (uint32_t)(digit - digits);
    *value = *value << 4 | (place < 16 ? place : place - 6);
    text->at++;
  }
  return PL_OK;
}

/* What follows "\u"; characters beyond 16 bits come as two of them. */
static pl_status take_unicode_escape(pl_header_text *text, uint32_t *rune) {
  uint32_t low = 0;
  PL_TRY(take_hex4(text, rune));
  if (is_surrogate(*rune, HIGH_SURROGATE)) {
    if (text->end - text->at < 2 || memcmp(text->at, "\\u", 2) != 0) {
      return pl_header_fail(text, "half of a surrogate pair");
    }
    text->at += 2;
    PL_TRY(take_hex4(text, &low));
    if (!is_surrogate(low, LOW_SURROGATE)) return pl_header_fail(text, "half of a surrogate pair");
    *rune = 0x10000 + (*rune - HIGH_SURROGATE) * SURROGATES + (low - LOW_SURROGATE);
  } else if (is_surrogate(*rune, LOW_SURROGATE)) {
    return pl_header_fail(text, "half of a surrogate pair");
  }
  return PL_OK;
}

/* What follows a backslash. */
static pl_status take_escape(pl_header_text *text, uint32_t *rune) {
  static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  const char *name = text->at < text->end && *text->at != '\0' ? strchr(names, *text->at) : NULL;
  if (name) {
    *rune = (uint32_t)meanings[name - names];
    text->at++;
    return PL_OK;
  }
  if (text->at == text->end || *text->at != 'u') return pl_header_fail(text, "unknown escape");
  text->at++;
  return take_unicode_escape(text, rune);
}

pl_status pl_header_string(pl_header_text *text, char *out, size_t room) {
  size_t length = 0;
  PL_TRY(pl_header_expect(text, '"'));
  for (;;) {
    uint32_t rune = 0;
    char bytes[4];
    if (text->at == text->end) return pl_header_fail(text, "the string has no end");
    if (*text->at == '"') break;
    if ((unsigned char)*text->at < 0x20)
      return pl_header_fail(text, "control character in a string");
    if (*text->at == '\\') {
      text->at++;
      PL_TRY(take_escape(text, &rune));
    } else {
      PL_TRY(take_utf8(text, &rune));
    }
    if (!out) continue;
    /* Names end up in messages and C strings. */
    if (rune < 0x20 || rune == 0x7F) return pl_header_fail(text, "control character in a name");
    size_t size = (size_t)pl_utf8_encode(rune, bytes);
    if (length + size >= room) {
      return pl_header_fail(text, "\"%.*s…\" has more than %zu bytes", (int)length, out, room - 1);
    }
    memcpy(out + length, bytes, size);
    length += size;
  }
  text->at++;
  if (out) out[length] = '\0';
  return PL_OK;
}

pl_status pl_header_number(pl_header_text *text, int64_t *out) {
  skip_blanks(text);
  const char *first = text->at;
  *out = 0;
  for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
    int digit = *text->at - '0';
    if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, digit, out)) {
      return pl_header_fail(text, "the number is too large");
    }
  }
  ptrdiff_t digits = text->at - first;
  if (digits == 0) return pl_header_fail(text, "a whole number is expected here");
  if (digits > 1 && *first == '0') return pl_header_fail(text, "a number begins with 0");
  return PL_OK;
}
