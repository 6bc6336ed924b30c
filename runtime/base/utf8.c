#include "runtime/base/utf8.h"

int pl_utf8_length(const char *text, size_t size) {
  /* Unicode's table of well-formed sequences: only the second byte depends on the first. */
  static const struct {
    unsigned char low, high, second_low, second_high;
    int length;
  } forms[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
               {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
               {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
               {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
  const unsigned char *at = (const unsigned char *)text;
  if (size == 0) return 0;
  if (*at < 0x80) return 1;
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if (*at < forms[i].low || *at > forms[i].high) continue;
    if (size < (size_t)forms[i].length) return 0;
    if (at[1] < forms[i].second_low || at[1] > forms[i].second_high) return 0;
    for (int k = 2; k < forms[i].length; k++) {
      if ((at[k] & 0xc0) != 0x80) return 0;
    }
    return forms[i].length;
  }
  return 0;
}

int pl_utf8_decode(const char *text, size_t size, uint32_t *code) {
  const unsigned char *at = (const unsigned char *)text;
  int length = pl_utf8_length(text, size);
  if (length == 0) return 0;
  *code = length == 1 ? *at : *at & (0x7fU >> length);
  for (int k = 1; k < length; k++) *code = *code << 6 | (at[k] & 0x3fU);
  return length;
}

int pl_utf8_encode(uint32_t code, char out[4]) {
  static const unsigned char mark[] = {0, 0, 0xc0, 0xe0, 0xf0}; /* in the first byte, by length */
  int length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  out[0] = (char)(mark[length] | code >> (6 * (length - 1)));
  for (int k = 1; k < length; k++) {
    out[k] = (char)(0x80 | (code >> (6 * (length - 1 - k)) & 0x3f));
  }
  return length;
}

size_t pl_utf8_valid(const char *text, size_t size) {
  size_t done = 0;
  while (done < size) {
    int length = pl_utf8_length(text + done, size - done);
    if (length == 0) break;
    done += (size_t)length;
  }
  return done;
}
