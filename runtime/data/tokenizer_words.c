/* Where words begin and end in a cleaned text: special tokens, English contractions, runs of
 * letters, single digits, runs of anything else but blanks; the first that fits. */
#include <string.h>
#include <utf8proc.h>

#include "runtime/data/tokenizer_text.h"

typedef enum kind { BLANK, LETTER, NUMBER, OTHER } kind;

static kind ascii_kind(unsigned char byte) {
  if (byte >= 'a' && byte <= 'z') return LETTER;
  if (byte == ' ') return BLANK;
  return byte >= '0' && byte <= '9' ? NUMBER : OTHER;
}

/* A mark without letter of its own that, without regard to case, is the letter iota: the patterns
 * for letters and for anything else both pass it by. */
enum { COMBINING_IOTA = 0x345 };

/* The kind of the character at the start of `text` and its bytes. */
static kind kind_at(const char *text, size_t size, size_t *bytes) {
  *bytes = 1;
  if ((unsigned char)text[0] < 0x80) return ascii_kind((unsigned char)text[0]);
  utf8proc_int32_t rune = 0;
  *bytes = (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &rune);
  if (rune == COMBINING_IOTA) return BLANK;
  switch (utf8proc_category(rune)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return NUMBER;
    default: return OTHER;
  }
}

/* The bytes of `text` that `pattern` fits; 0: none. Without regard to case a long s, which has no
 * lower case of its own, is an s too. */
static size_t fits(const char *text, size_t size, const char *pattern) {
  static const char long_s[2] = "\xC5\xBF";
  size_t at = 0;
  for (; *pattern != '\0'; pattern++) {
    if (at < size && text[at] == *pattern) {
      at++;
    } else if (*pattern == 's' && size - at >= 2 && memcmp(text + at, long_s, 2) == 0) {
      at += 2;
    } else {
      return 0;
    }
  }
  return at;
}

static size_t fixed_word(const char *text, size_t size) {
  static const char *const specials[] = {PL_TEXT_START, PL_TEXT_END};
  static const char *const contractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
  size_t bytes = 0;
  if (text[0] == '<') {
    for (int k = 0; k < 2 && bytes == 0; k++) bytes = fits(text, size, specials[k]);
  } else if (text[0] == '\'') {
    for (int k = 0; k < 7 && bytes == 0; k++) bytes = fits(text, size, contractions[k]);
  }
  return bytes;
}

size_t pl_text_next_word(const char *text, size_t size, size_t *at, const char **word) {
  size_t bytes = 0;
  while (*at < size && kind_at(text + *at, size - *at, &bytes) == BLANK) *at += bytes;
  if (*at >= size) return 0;
  size_t from = *at;
  bytes = fixed_word(text + from, size - from);
  size_t end = from + bytes;
  if (bytes == 0) {
    kind first = kind_at(text + from, size - from, &bytes);
    end = from + bytes;
    while (first != NUMBER && end < size && kind_at(text + end, size - end, &bytes) == first) {
      end += bytes;
    }
  }
  *word = text + from;
  *at = end;
  return end - from;
}
