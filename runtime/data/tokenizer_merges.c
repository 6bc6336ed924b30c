#include "runtime/data/tokenizer_merges.h"

#include <stdbool.h>
#include <string.h>

#include "runtime/base/memory.h"

/* What the 512 names of bytes take at most: 2 bytes of UTF-8 and "</w>" each. */
enum { BYTE_NAMES_SIZE = PL_BYTE_SYMBOLS * 6 };

/* Symbols by name, needed while the list is read. */
typedef struct names {
  char *pool; /* the names, one behind the other; symbol k is start[k] … start[k + 1] - 1 */
  uint32_t *start;
  uint32_t *slot; /* symbol + 1; 0: empty */
  uint32_t slots; /* a power of two, more than twice the symbols */
  uint32_t count;
} names;

static uint32_t *names_slot(const names *n, const char *name, size_t size) {
  uint32_t k = (uint32_t)pl_hash(name, size).low;
  for (;; k++) {
    uint32_t *slot = &n->slot[k & (n->slots - 1)];
    if (*slot == 0) return slot;
    uint32_t start = n->start[*slot - 1];
    if (n->start[*slot] - start == size && memcmp(n->pool + start, name, size) == 0) return slot;
  }
}

/* Adds a name that is already written at the end of the pool; false where there is one like it. */
static bool names_add(names *n, size_t size) {
  uint32_t start = n->start[n->count];
  uint32_t *slot = names_slot(n, n->pool + start, size);
  if (*slot != 0) return false;
  n->start[n->count + 1] = start + (uint32_t)size;
  *slot = ++n->count;
  return true;
}

/* The list writes a byte as a character that can be seen: printable Latin-1 as itself, and the
 * other bytes, in order, as U+0100, U+0101 … Symbols are numbered in that order, too. */
static bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

static void add_byte(names *n, int character, bool at_end) {
  static const char mark[] = {'<', '/', 'w', '>'};
  char *to = n->pool + n->start[n->count];
  size_t size = 0;
  if (character >= 0x80) to[size++] = (char)(0xC0 | character >> 6);
  to[size++] = (char)(character < 0x80 ? character : 0x80 | (character & 0x3F));
  if (at_end) memcpy(to + size, mark, sizeof mark);
  names_add(n, size + (at_end ? sizeof mark : 0));
}

static void add_bytes(names *n, pl_merges *merges) {
  for (int at_end = 0; at_end < 2; at_end++) {
    int hidden = 0x100;
    for (int pass = 0; pass < 2; pass++) {
      for (int byte = 0; byte < 256; byte++) {
        if (is_printable(byte) != (pass == 0)) continue;
        if (!at_end) merges->byte_symbol[byte] = (int16_t)n->count;
        add_byte(n, pass == 0 ? byte : hidden++, at_end == 1);
      }
    }
  }
}

static pl_status names_create(names *n, uint32_t symbols, size_t text_size) {
  n->slots = 2;
  while (n->slots <= 2 * symbols) n->slots *= 2;
  n->pool = pl_alloc(BYTE_NAMES_SIZE + text_size, 1);
  n->start = pl_alloc(symbols + 1, sizeof *n->start);
  n->slot = pl_alloc(n->slots, sizeof *n->slot);
  return n->pool && n->start && n->slot ? PL_OK : PL_E_INTERNAL;
}

static void names_destroy(names *n) {
  pl_free(n->pool);
  pl_free(n->start);
  pl_free(n->slot);
}

/* "LEFT RIGHT", without the end of the line. */
static pl_status add_merge(names *n, const char *line, size_t size, pl_merge *merge) {
  if (size > 0 && line[size - 1] == '\r') {
    return PL_FAIL(PL_E_DATA, "the line ends in a carriage return, which belongs to no symbol");
  }
  const char *blank = memchr(line, ' ', size);
  size_t left = blank ? (size_t)(blank - line) : 0;
  size_t right = blank ? size - left - 1 : 0;
  if (left == 0 || right == 0 || memchr(blank + 1, ' ', right)) {
    return PL_FAIL(PL_E_DATA, "no merge, which is two symbols and a blank between them");
  }
  uint32_t first = *names_slot(n, line, left);
  uint32_t second = *names_slot(n, blank + 1, right);
  if (first == 0 || second == 0) {
    return PL_FAIL(PL_E_DATA, "the %s symbol is made by no line before",
                   first == 0 ? "left" : "right");
  }
  char *to = n->pool + n->start[n->count];
  memcpy(to, line, left);
  memcpy(to + left, blank + 1, right);
  if (!names_add(n, left + right)) {
    return PL_FAIL(PL_E_DATA, "the symbol that this merge makes is made by a line before, too");
  }
  *merge = (pl_merge){.pair = (first - 1) << 16 | (second - 1), .result = n->count - 1};
  return PL_OK;
}

/* The lines that count: what is behind the first line, up to PL_MERGES_MAX lines. */
typedef struct body {
  const char *start, *end;
  int lines;
} body;

static const char *line_end(const char *line, const char *end) {
  const char *stop = memchr(line, '\n', (size_t)(end - line));
  return stop ? stop : end;
}

static pl_status find_body(const char *name, const char *text, size_t size, body *b) {
  const char *end = text + size;
  const char *stop = line_end(text, end);
  if (!memmem(text, (size_t)(stop - text), "#version:", 9)) {
    return PL_FAIL(PL_E_DATA, "%s:1: no \"#version:\" in the first line: no list of merges", name);
  }
  b->start = b->end = stop < end ? stop + 1 : end;
  for (b->lines = 0; b->end < end && b->lines < PL_MERGES_MAX; b->lines++) {
    stop = line_end(b->end, end);
    b->end = stop < end ? stop + 1 : end;
  }
  if (b->lines == 0) return PL_FAIL(PL_E_DATA, "%s: no merges behind the first line", name);
  return PL_OK;
}

static pl_status add_lines(const char *name, const body *b, names *n, pl_merge *list) {
  const char *line = b->start;
  for (int i = 0; i < b->lines; i++) {
    const char *stop = line_end(line, b->end);
    pl_status status = add_merge(n, line, (size_t)(stop - line), &list[i]);
    if (status != PL_OK) return pl_context(status, "%s:%d", name, i + 2);
    line = stop < b->end ? stop + 1 : stop;
  }
  return PL_OK;
}

static pl_status fill_slots(const pl_merge *list, pl_merges *merges) {
  merges->slots = 64;
  while (merges->slots < 2 * (uint32_t)merges->count) merges->slots *= 2;
  merges->slot = pl_alloc(merges->slots, sizeof *merges->slot);
  if (!merges->slot) return PL_E_INTERNAL;
  for (int i = 0; i < merges->count; i++) {
    uint32_t k = pl_merges_hash(list[i].pair);
    while (merges->slot[k & (merges->slots - 1)].result != 0) k++;
    merges->slot[k & (merges->slots - 1)] = list[i];
  }
  return PL_OK;
}

pl_status pl_merges_parse(const char *name, const char *text, size_t size, pl_merges *merges) {
  pl_status status = PL_E_INTERNAL;
  names n = {0};
  body b = {0};
  pl_merge *list = NULL;
  *merges = (pl_merges){0};
  PL_TRY_OR(done, status, find_body(name, text, size, &b));
  merges->count = b.lines;
  merges->hash = pl_hash(b.start, (size_t)(b.end - b.start));
  list = pl_alloc((size_t)b.lines, sizeof *list);
  status = list ? PL_OK : PL_E_INTERNAL;
  if (!list) goto done;
  PL_TRY_OR(done, status, names_create(&n, PL_BYTE_SYMBOLS + (uint32_t)b.lines, size));
  add_bytes(&n, merges);
  PL_TRY_OR(done, status, add_lines(name, &b, &n, list));
  status = fill_slots(list, merges);
done:
  names_destroy(&n);
  pl_free(list);
  return status;
}

void pl_merges_free(pl_merges *merges) {
  pl_free(merges->slot);
  *merges = (pl_merges){0};
}
