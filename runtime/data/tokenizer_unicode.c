/* NFC, lower case and whitespace: what utf8proc knows, and what it leaves open. */
#include <string.h>
#include <utf8proc.h>

#include "runtime/data/tokenizer_text.h"

enum { CLASSES = 256, FIRST_COMPOSABLE = 0x300, CAPITAL_SIGMA = 0x3A3, DOTTED_CAPITAL_I = 0x130 };

static int combining_class(int32_t c) { return utf8proc_get_property(c)->combining_class; }

/* Sorts a run of combining marks by class, those of one class as they stood: by counting, so that a
 * long run costs no more than its length. `spare` has room for them. */
static void sort_marks(int32_t *marks, size_t count, int32_t *spare) {
  size_t start[CLASSES + 1] = {0};
  for (size_t i = 0; i < count; i++) start[combining_class(marks[i]) + 1]++;
  for (int k = 0; k < CLASSES; k++) start[k + 1] += start[k];
  for (size_t i = 0; i < count; i++) spare[start[combining_class(marks[i])]++] = marks[i];
  memcpy(marks, spare, count * sizeof *marks);
}

static pl_status decompose(const pl_runes *from, pl_runes *to) {
  const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  to->count = 0;
  for (size_t i = 0; i < from->count; i++) {
    int32_t parts[8];
    int boundary = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(from->at[i], parts, 8, options, &boundary);
    if (count < 0 || count > 8) {
      return PL_FAIL(PL_E_INTERNAL, "no decomposition of U+%04X: %s", (unsigned)from->at[i],
                     utf8proc_errmsg(count));
    }
    PL_TRY(pl_runes_append(to, parts, (size_t)count));
  }
  return PL_OK;
}

pl_status pl_text_compose(pl_runes *text, pl_runes *other) {
  size_t i = 0;
  while (i < text->count && text->at[i] < FIRST_COMPOSABLE) i++;
  if (i == text->count) return PL_OK;
  PL_TRY(decompose(text, other));
  PL_TRY(pl_runes_reserve(text, other->count));
  for (size_t from = 0; from < other->count;) {
    size_t to = from;
    while (to < other->count && combining_class(other->at[to]) != 0) to++;
    if (to > from + 1) sort_marks(other->at + from, to - from, text->at);
    from = to + 1;
  }
  utf8proc_ssize_t count = utf8proc_normalize_utf32(other->at, (utf8proc_ssize_t)other->count,
                                                    UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  if (count < 0) return PL_FAIL(PL_E_INTERNAL, "NFC failed: %s", utf8proc_errmsg(count));
  other->count = (size_t)count;
  pl_runes_swap(text, other);
  return PL_OK;
}

static bool is_white(int32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

void pl_text_collapse(pl_runes *text) {
  size_t kept = 0;
  for (size_t i = 0; i < text->count; i++) {
    if (!is_white(text->at[i])) {
      text->at[kept++] = text->at[i];
    } else if (kept > 0 && text->at[kept - 1] != ' ') {
      text->at[kept++] = ' ';
    }
  }
  if (kept > 0 && text->at[kept - 1] == ' ') kept--;
  text->count = kept;
}

static bool is_in(int32_t c, const int32_t (*ranges)[2], size_t count) {
  for (size_t k = 0; k < count; k++) {
    if (c >= ranges[k][0] && c <= ranges[k][1]) return true;
  }
  return false;
}

/* Unicode's property Cased, as far as those are concerned that are not Case_Ignorable. */
static bool is_cased(int32_t c) {
  static const int32_t others[][2] = {{0xAA, 0xAA},      {0xBA, 0xBA},       {0x2160, 0x217F},
                                      {0x24B6, 0x24E9},  {0x1F130, 0x1F149}, {0x1F150, 0x1F169},
                                      {0x1F170, 0x1F189}};
  utf8proc_category_t category = utf8proc_category(c);
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT || is_in(c, others, sizeof others / sizeof others[0]);
}

/* Unicode's property Case_Ignorable: marks and the punctuation that stands inside words. */
static bool is_case_ignorable(int32_t c) {
  static const int32_t others[][2] = {
      {'\'', '\''},     {'.', '.'},       {':', ':'},       {0xB7, 0xB7},
      {0x387, 0x387},   {0x55F, 0x55F},   {0x5F4, 0x5F4},   {0x2018, 0x2019},
      {0x2024, 0x2024}, {0x2027, 0x2027}, {0xFE13, 0xFE13}, {0xFE52, 0xFE52},
      {0xFE55, 0xFE55}, {0xFF07, 0xFF07}, {0xFF0E, 0xFF0E}, {0xFF1A, 0xFF1A}};
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return is_in(c, others, sizeof others / sizeof others[0]);
  }
}

/* The Unicode standard's Final_Sigma (section 3.13): a cased letter before and none behind, marks
 * aside. Each search ends at the next sigma, so that all of them together stay linear. */
static bool is_final_sigma(const pl_runes *text, size_t at) {
  size_t before = at;
  while (before > 0 && is_case_ignorable(text->at[before - 1])) before--;
  if (before == 0 || !is_cased(text->at[before - 1])) return false;
  size_t behind = at + 1;
  while (behind < text->count && is_case_ignorable(text->at[behind])) behind++;
  return behind == text->count || !is_cased(text->at[behind]);
}

size_t pl_text_lower(const pl_runes *text, char *to) {
  utf8proc_uint8_t *end = (utf8proc_uint8_t *)to;
  for (size_t i = 0; i < text->count; i++) {
    int32_t c = text->at[i];
    if (c == DOTTED_CAPITAL_I) { /* the one letter whose lower case is two code points */
      end += utf8proc_encode_char('i', end);
      end += utf8proc_encode_char(0x307, end);
    } else if (c == CAPITAL_SIGMA) {
      end += utf8proc_encode_char(is_final_sigma(text, i) ? 0x3C2 : 0x3C3, end);
    } else {
      end += utf8proc_encode_char(utf8proc_tolower(c), end);
    }
  }
  return (size_t)(end - (utf8proc_uint8_t *)to);
}
