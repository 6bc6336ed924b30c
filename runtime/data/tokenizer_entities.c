#include <string.h>
#include <utf8proc.h>

#include "runtime/data/tokenizer_text.h"

enum { NAME_MAX_SIZE = 32, STRICT_MAX_SIZE = 24, LARGEST_RUNE = 0x10FFFF, REPLACEMENT = 0xFFFD };

static bool is_digit(int32_t c) { return c >= '0' && c <= '9'; }

static bool is_hex(int32_t c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_name(int32_t c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static const pl_entity *find(const char *name, size_t size) {
  size_t low = 0;
  size_t high = pl_entity_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    const pl_entity *entity = &pl_entity_table[middle];
    int order = strncmp(name, entity->name, size);
    if (order == 0 && entity->name[size] == '\0') return entity;
    if (order > 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

/* The longest beginning of a name that needs no semicolon; NULL where none does. */
static const pl_entity *find_beginning(const char *name, size_t size, size_t *used) {
  for (*used = size; *used >= 2; (*used)--) {
    const pl_entity *entity = find(name, *used);
    if (entity && entity->bare) return entity;
  }
  return NULL;
}

static pl_status push_value(const pl_entity *entity, pl_runes *to) {
  PL_TRY(pl_runes_push(to, entity->value[0]));
  return entity->value[1] == 0 ? PL_OK : pl_runes_push(to, entity->value[1]);
}

/* "&EACUTE;" is meant to be an upper-case "&eacute;". */
static pl_status push_upper(const pl_entity *entity, pl_runes *to) {
  for (int k = 0; k < 2 && entity->value[k] != 0; k++) {
    if (entity->value[k] == 0xDF) { /* sharp s: two letters S, not the capital sharp s */
      PL_TRY(pl_runes_push(to, 'S'));
      PL_TRY(pl_runes_push(to, 'S'));
    } else {
      PL_TRY(pl_runes_push(to, utf8proc_toupper(entity->value[k])));
    }
  }
  return PL_OK;
}

static const pl_entity *find_shouted(const char *name, size_t size) {
  char small[NAME_MAX_SIZE];
  size_t beginning = 0;
  for (size_t k = 0; k < size; k++) {
    if (name[k] >= 'a' && name[k] <= 'z') return NULL;
    small[k] = is_digit(name[k]) ? name[k] : (char)(name[k] - 'A' + 'a');
  }
  return find_beginning(name, size, &beginning) ? NULL : find(small, size);
}

/* What a numeric reference stands for; -1: nothing (HTML standard, "numeric character reference end
 * state", with the control characters and noncharacters left out as Python does). */
static int32_t numbered(int32_t number) {
  if (number == 0 || number > LARGEST_RUNE || (number >= 0xD800 && number <= 0xDFFF)) {
    return REPLACEMENT;
  }
  if (number >= 0x80 && number <= 0x9F) return pl_text_windows_1252(number);
  bool white = number == '\t' || number == '\n' || number == '\f' || number == '\r';
  if ((number < ' ' && !white) || number == 0x7F) return -1;
  if ((number >= 0xFDD0 && number <= 0xFDEF) || (number & 0xFFFE) == 0xFFFE) return -1;
  return number;
}

/* Reads digits from at[0] on; returns how many. Numbers beyond Unicode stay just beyond it. */
static size_t read_number(const int32_t *at, size_t count, bool hex, int32_t *number) {
  size_t digits = 0;
  *number = 0;
  for (; digits < count && (hex ? is_hex(at[digits]) : is_digit(at[digits])); digits++) {
    int32_t c = at[digits];
    int32_t digit = is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
    *number = *number * (hex ? 16 : 10) + digit;
    if (*number > LARGEST_RUNE) *number = LARGEST_RUNE + 1;
  }
  return digits;
}

/* `at` is behind "&#". Sets *used to what was read; 0: this is no reference. */
static pl_status numeric(const int32_t *at, size_t count, bool strict, pl_runes *to, size_t *used) {
  int32_t number = 0;
  bool hex = count > 0 && (at[0] == 'x' || at[0] == 'X');
  size_t head = hex ? 1 : 0;
  size_t digits = read_number(at + head, count - head, hex, &number);
  bool closed = head + digits < count && at[head + digits] == ';';
  *used = 0;
  if (digits == 0) return PL_OK;
  if (strict && (!closed || head + digits > STRICT_MAX_SIZE || number == ';')) return PL_OK;
  *used = head + digits + (closed ? 1 : 0);
  int32_t rune = numbered(number);
  return rune < 0 ? PL_OK : pl_runes_push(to, rune);
}

/* The characters that may be of a name; those beyond ASCII end what can be found in the table. */
static size_t read_name(const int32_t *at, size_t count, bool strict, char name[NAME_MAX_SIZE]) {
  size_t size = 0;
  while (size < count && size < NAME_MAX_SIZE && is_name(at[size])) {
    name[size] = (char)at[size];
    size++;
  }
  return strict && size > STRICT_MAX_SIZE ? 0 : size;
}

/* `at` is behind '&'. */
static pl_status named(const int32_t *at, size_t count, bool strict, pl_runes *to, size_t *used) {
  char name[NAME_MAX_SIZE];
  size_t size = read_name(at, count, strict, name);
  bool closed = size < count && at[size] == ';';
  *used = 0;
  if (size == 0) return PL_OK;
  const pl_entity *entity = closed ? find(name, size) : NULL;
  if (entity) {
    *used = size + 1;
    return push_value(entity, to);
  }
  if (strict) {
    entity = closed ? find_shouted(name, size) : NULL;
    if (!entity) return PL_OK;
    *used = size + 1;
    return push_upper(entity, to);
  }
  entity = find_beginning(name, size, &size);
  if (!entity) return PL_OK;
  *used = size;
  return push_value(entity, to);
}

pl_status pl_text_unescape(const pl_runes *from, pl_runes *to, bool strict) {
  to->count = 0;
  for (size_t i = 0; i < from->count; i++) {
    size_t used = 0;
    const int32_t *at = from->at + i + 1;
    size_t left = from->count - i - 1;
    if (from->at[i] == '&' && left > 1 && at[0] == '#') {
      PL_TRY(numeric(at + 1, left - 1, strict, to, &used));
      if (used > 0) used++;
    } else if (from->at[i] == '&' && left > 0) {
      PL_TRY(named(at, left, strict, to, &used));
    }
    if (used > 0) {
      i += used;
    } else {
      PL_TRY(pl_runes_push(to, from->at[i]));
    }
  }
  return PL_OK;
}
