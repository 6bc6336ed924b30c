/* The tokenizer's vocabulary: the list of merges, and words merged by it. */
#ifndef PL_DATA_TOKENIZER_MERGES_H
#define PL_DATA_TOKENIZER_MERGES_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/hash.h"
#include "runtime/base/status.h"

enum {
  PL_MERGES_MAX = 49152 - 256 - 2,
  PL_MERGES_FILE_MAX = 64 << 20, /* bytes, decompressed */
  PL_BYTE_SYMBOLS = 512          /* each byte inside a word, then each at the end of one */
};

typedef struct pl_merge {
  uint32_t pair;   /* left symbol << 16 | right symbol; below 2^16 each */
  uint32_t result; /* symbol; 0 where the slot is empty */
} pl_merge;

/* Symbol k is made by line k - PL_BYTE_SYMBOLS of the list; the smaller, the earlier it is made. */
typedef struct pl_merges {
  pl_merge *slot; /* open addressing, slots a power of two */
  uint32_t slots;
  int count;
  int16_t byte_symbol[256]; /* inside a word; at its end the symbol is larger by 256 */
  pl_hash128 hash;          /* of the lines that count */
} pl_merges;

/* At most PL_MERGES_FILE_MAX bytes of text; `name` is for messages. pl_merges_free also after a
 * failure. */
pl_status pl_merges_parse(const char *name, const char *text, size_t size, pl_merges *merges);
/* Reads a file, compressed or not, into a block that the caller owns (pl_free). */
pl_status pl_merges_read_file(const char *path, char **text, size_t *size);
void pl_merges_free(pl_merges *merges);

static inline uint32_t pl_merges_hash(uint32_t pair) { return pair * UINT32_C(2654435761) >> 7; }

/* The symbol that a pair becomes; 0: they stay two. */
static inline uint32_t pl_merges_find(const pl_merges *merges, uint32_t left, uint32_t right) {
  uint32_t pair = left << 16 | right;
  uint32_t k = pl_merges_hash(pair);
  for (;; k++) {
    const pl_merge *slot = &merges->slot[k & (merges->slots - 1)];
    if (slot->result == 0 || slot->pair == pair) return slot->result;
  }
}

/* A symbol of the word that is being merged, in a list of those that are left. */
typedef struct pl_merge_link {
  uint32_t symbol, merged; /* merged: what it and the next one become; 0: nothing */
  uint32_t before, next;
} pl_merge_link;

/* Memory of pl_merges_apply; all zero at the start. */
typedef struct pl_merge_work {
  pl_merge_link *link;
  size_t link_capacity;
  uint64_t *heap; /* merged symbol << 32 | place of its left part */
  size_t heap_capacity, heap_count;
  int32_t *ids;
  size_t ids_capacity;
} pl_merge_work;
void pl_merge_work_free(pl_merge_work *work);

/* Splits a word of `size` > 0 bytes into symbols, work->ids; *count of them. */
pl_status pl_merges_apply(const pl_merges *merges, const char *word, size_t size,
                          pl_merge_work *work, size_t *count);

#endif
