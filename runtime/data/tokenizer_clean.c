#include <utf8proc.h>

#include "runtime/data/tokenizer_text.h"

/* ASCII that no step of the cleaning but whitespace and lower case changes. */
static bool is_plain(unsigned char byte) {
  if (byte < ' ') return byte == '\t' || byte == '\n' || byte == '\f' || byte == '\r';
  return byte < 0x7F && byte != '&';
}

/* Most captions are plain: their cleaning is this one pass. False where the text is not. */
static bool clean_plain(const char *text, size_t size, pl_text_work *work) {
  size_t kept = 0;
  for (size_t i = 0; i < size; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (!is_plain(byte)) return false;
    if (byte > ' ') {
      work->clean[kept++] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    } else if (kept > 0 && work->clean[kept - 1] != ' ') {
      work->clean[kept++] = ' ';
    }
  }
  if (kept > 0 && work->clean[kept - 1] == ' ') kept--;
  work->clean_size = kept;
  return true;
}

static pl_status decode(const char *text, size_t size, pl_runes *to) {
  PL_TRY(pl_runes_reserve(to, size));
  to->count = 0;
  for (size_t i = 0; i < size;) {
    utf8proc_int32_t rune = 0;
    utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(size - i), &rune);
    if (used < 1) {
      return PL_FAIL(PL_E_DATA, "the text is not UTF-8 at byte %zu (0x%02X)", i,
                     (unsigned)(unsigned char)text[i]);
    }
    to->at[to->count++] = rune;
    i += (size_t)used;
  }
  return PL_OK;
}

static pl_status make_room(pl_text_work *work, size_t bytes) {
  char *clean = pl_text_room(work->clean, &work->clean_capacity, 0, bytes, 1);
  if (!clean) return PL_E_INTERNAL;
  work->clean = clean;
  return PL_OK;
}

pl_status pl_text_clean(const char *text, size_t size, pl_text_work *work) {
  PL_TRY(make_room(work, size));
  if (clean_plain(text, size, work)) return PL_OK;
  PL_TRY(decode(text, size, &work->text));
  PL_TRY(pl_text_fix(work));
  for (int k = 0; k < 2; k++) {
    PL_TRY(pl_text_unescape(&work->text, &work->other, false));
    pl_runes_swap(&work->text, &work->other);
  }
  pl_text_collapse(&work->text);
  PL_TRY(make_room(work, 4 * work->text.count));
  work->clean_size = pl_text_lower(&work->text, work->clean);
  return PL_OK;
}

void pl_text_work_free(pl_text_work *work) {
  pl_runes_free(&work->text);
  pl_runes_free(&work->fixed);
  pl_runes_free(&work->segment);
  pl_runes_free(&work->before);
  pl_runes_free(&work->other);
  pl_free(work->clean);
  *work = (pl_text_work){0};
}
