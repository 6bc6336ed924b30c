/* The parts of ftfy.fix_text that need no judgement. */
#include <string.h>
#include <utf8proc.h>

#include "runtime/data/tokenizer_text.h"

enum {
  ROUNDS_MAX = 64,       /* see tokenizer.h */
  SEGMENT_MAX = 1000000, /* code points; ftfy cuts longer lines there */
  ESCAPE = 0x1B
};

int32_t pl_text_windows_1252(int32_t byte) {
  static const int32_t meaning[32] = {
      0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
      0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
      0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};
  return meaning[byte - 0x80];
}

/* The letters of a Latin ligature or digraph; their number, 0 for any other character. */
static int ligature(int32_t c, int32_t letters[3]) {
  static const struct {
    int32_t ligature, letters[3];
  } table[] = {{0x132, {'I', 'J'}},       {0x133, {'i', 'j'}},       {0x149, {0x2BC, 'n'}},
               {0x1C4, {'D', 0x17D}},     {0x1C5, {'D', 0x17E}},     {0x1C6, {'d', 0x17E}},
               {0x1C7, {'L', 'J'}},       {0x1C8, {'L', 'j'}},       {0x1C9, {'l', 'j'}},
               {0x1CA, {'N', 'J'}},       {0x1CB, {'N', 'j'}},       {0x1CC, {'n', 'j'}},
               {0x1F1, {'D', 'Z'}},       {0x1F2, {'D', 'z'}},       {0x1F3, {'d', 'z'}},
               {0xFB00, {'f', 'f'}},      {0xFB01, {'f', 'i'}},      {0xFB02, {'f', 'l'}},
               {0xFB03, {'f', 'f', 'i'}}, {0xFB04, {'f', 'f', 'l'}}, {0xFB05, {0x17F, 't'}},
               {0xFB06, {'s', 't'}}};
  if (c < 0x132 || (c > 0x1F3 && c < 0xFB00) || c > 0xFB06) return 0;
  for (size_t k = 0; k < sizeof table / sizeof table[0]; k++) {
    if (table[k].ligature != c) continue;
    memcpy(letters, table[k].letters, sizeof table[k].letters);
    return letters[2] != 0 ? 3 : 2;
  }
  return 0;
}

/* The usual form of a full or half width character, at most 4 code points; c itself otherwise. */
static int usual_width(int32_t c, int32_t usual[4]) {
  usual[0] = c == 0x3000 ? ' ' : c;
  if (c < 0xFF01 || c > 0xFFEF) return 1;
  int boundary = 0;
  const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  utf8proc_ssize_t count = utf8proc_decompose_char(c, usual, 4, options, &boundary);
  return count < 1 || count > 4 ? 1 : (int)count;
}

static int32_t straight(int32_t c) {
  if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B)) return '\'';
  if (c >= 0x201C && c <= 0x201F) return '"';
  if (c == '\r' || c == 0x2028 || c == 0x2029) return '\n';
  return c;
}

static pl_status map_characters(const pl_runes *from, pl_runes *to) {
  to->count = 0;
  for (size_t i = 0; i < from->count; i++) {
    int32_t c = from->at[i];
    int32_t parts[4];
    if (c >= 0x80 && c <= 0x9F) c = pl_text_windows_1252(c);
    int count = ligature(c, parts);
    if (count == 0) count = usual_width(c, parts);
    for (int k = 0; k < count; k++) PL_TRY(pl_runes_push(to, straight(parts[k])));
  }
  return PL_OK;
}

static bool is_invisible(int32_t c) {
  if (c < ' ') return c != '\t' && c != '\n' && c != '\f' && c != '\r';
  return c == 0x7F || (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

/* The length of a terminal escape such as ESC [ 0 ; 31 m at the start of `at`; 0 where there is
 * none. */
static size_t terminal_escape(const int32_t *at, size_t count) {
  if (count < 3 || at[0] != ESCAPE || at[1] != '[') return 0;
  size_t i = 2;
  while (i < count && (at[i] == ';' || utf8proc_category(at[i]) == UTF8PROC_CATEGORY_ND)) i++;
  bool letter = i < count && ((at[i] >= 'a' && at[i] <= 'z') || (at[i] >= 'A' && at[i] <= 'Z'));
  return letter ? i + 1 : 0;
}

static void remove_controls(pl_runes *text) {
  size_t kept = 0;
  for (size_t i = 0; i < text->count;) {
    size_t escape = terminal_escape(text->at + i, text->count - i);
    if (escape == 0 && !is_invisible(text->at[i])) text->at[kept++] = text->at[i];
    i += escape > 0 ? escape : 1;
  }
  text->count = kept;
}

static bool same(const pl_runes *a, const pl_runes *b) {
  return a->count == b->count && memcmp(a->at, b->at, a->count * sizeof *a->at) == 0;
}

static pl_status fix_segment(pl_text_work *work, bool entities) {
  pl_runes *segment = &work->segment;
  for (int round = 0; round < ROUNDS_MAX; round++) {
    work->before.count = 0;
    PL_TRY(pl_runes_append(&work->before, segment->at, segment->count));
    if (entities) {
      PL_TRY(pl_text_unescape(segment, &work->other, true));
      pl_runes_swap(segment, &work->other);
    }
    PL_TRY(map_characters(segment, &work->other));
    pl_runes_swap(segment, &work->other);
    remove_controls(segment);
    PL_TRY(pl_text_compose(segment, &work->other));
    if (segment->count == 0 || same(segment, &work->before)) break;
  }
  return PL_OK;
}

/* A segment is a line with its end. */
static size_t segment_end(const pl_runes *text, size_t from) {
  size_t most = text->count - from < SEGMENT_MAX ? text->count : from + SEGMENT_MAX;
  for (size_t i = from; i < most; i++) {
    if (text->at[i] == '\n') return i + 1;
  }
  return most;
}

static bool holds(const pl_runes *text, int32_t c) {
  for (size_t i = 0; i < text->count; i++) {
    if (text->at[i] == c) return true;
  }
  return false;
}

pl_status pl_text_fix(pl_text_work *work) {
  /* Once a line holds a '<', the rest is taken for HTML source. */
  bool entities = true;
  work->fixed.count = 0;
  for (size_t from = 0, to = 0; from < work->text.count; from = to) {
    to = segment_end(&work->text, from);
    work->segment.count = 0;
    PL_TRY(pl_runes_append(&work->segment, work->text.at + from, to - from));
    if (holds(&work->segment, '<')) entities = false;
    PL_TRY(fix_segment(work, entities));
    PL_TRY(pl_runes_append(&work->fixed, work->segment.at, work->segment.count));
  }
  pl_runes_swap(&work->text, &work->fixed);
  return PL_OK;
}
