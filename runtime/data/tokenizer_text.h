/* The tokenizer's cleaning of texts, step by step, on code points. */
#ifndef PL_DATA_TOKENIZER_TEXT_H
#define PL_DATA_TOKENIZER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/memory.h"
#include "runtime/base/status.h"

/* A growing row of code points; all zero at the start. */
typedef struct pl_runes {
  int32_t *at;
  size_t count, capacity;
} pl_runes;

/* Room for at least `needed` elements of `size` bytes in a block that has room for *capacity; its
 * first `kept` elements stay. Returns the block, which may be another one; NULL, with the old block
 * untouched, where memory can't be had. */
void *pl_text_room(void *block, size_t *capacity, size_t kept, size_t needed, size_t size);

pl_status pl_runes_reserve(pl_runes *runes, size_t needed);
pl_status pl_runes_append(pl_runes *runes, const int32_t *from, size_t count);
void pl_runes_free(pl_runes *runes);

static inline pl_status pl_runes_push(pl_runes *runes, int32_t rune) {
  if (runes->count == runes->capacity) PL_TRY(pl_runes_reserve(runes, runes->count + 1));
  runes->at[runes->count++] = rune;
  return PL_OK;
}

static inline void pl_runes_swap(pl_runes *a, pl_runes *b) {
  pl_runes other = *a;
  *a = *b;
  *b = other;
}

/* What 0x80 … 0x9F mean in Windows-1252; the five that it leaves undefined stay as they are. */
int32_t pl_text_windows_1252(int32_t byte);

/* Undoes entities from `from` into `to`, once and without looking at the result again. Strict:
 * whole names and numbers that end in a semicolon, and upper-case spellings of lower-case names, as
 * ftfy does; otherwise as the HTML standard reads text (semicolons may be missing). */
pl_status pl_text_unescape(const pl_runes *from, pl_runes *to, bool strict);

/* One row of the HTML standard's table of names. */
typedef struct pl_entity {
  const char *name; /* without the semicolon */
  bool bare;        /* also known without one */
  int32_t value[2]; /* the second is 0 where there is but one */
} pl_entity;
extern const pl_entity pl_entity_table[]; /* sorted by the bytes of the name */
extern const size_t pl_entity_count;

typedef struct pl_text_work {
  pl_runes text, fixed, segment, before, other;
  char *clean;
  size_t clean_capacity, clean_size;
} pl_text_work;

/* Repairs work->text as ftfy.fix_text does; see tokenizer.h for what is left out. */
pl_status pl_text_fix(pl_text_work *work);

/* Canonical composition (NFC) of `text`; `other` is overwritten. */
pl_status pl_text_compose(pl_runes *text, pl_runes *other);

/* One blank for each run of whitespace, none at the ends; in place. */
void pl_text_collapse(pl_runes *text);

/* Lower case as UTF-8; `to` has room for 4 bytes a code point. Returns the bytes written. */
size_t pl_text_lower(const pl_runes *text, char *to);

/* All of it: `size` bytes of UTF-8 into work->clean, of clean_size bytes. */
pl_status pl_text_clean(const char *text, size_t size, pl_text_work *work);
void pl_text_work_free(pl_text_work *work);

/* The next word of a cleaned text, from *at on, which moves behind it; returns its size, 0 at the
 * end of the text. */
size_t pl_text_next_word(const char *text, size_t size, size_t *at, const char **word);

/* "<start_of_text>", "<end_of_text>": words of their own */
#define PL_TEXT_START "<start_of_text>"
#define PL_TEXT_END "<end_of_text>"

#endif
