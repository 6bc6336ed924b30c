#include <string.h>

#include "runtime/data/tokenizer_text.h"

void *pl_text_room(void *block, size_t *capacity, size_t kept, size_t needed, size_t size) {
  if (block && needed <= *capacity) return block;
  size_t larger = *capacity < 32 ? 64 : 2 * *capacity;
  if (larger < needed) larger = needed;
  void *grown = pl_alloc(larger, size);
  if (!grown) return NULL;
  if (block) memcpy(grown, block, kept * size);
  pl_free(block);
  *capacity = larger;
  return grown;
}

pl_status pl_runes_reserve(pl_runes *runes, size_t needed) {
  int32_t *at = pl_text_room(runes->at, &runes->capacity, runes->count, needed, sizeof *at);
  if (!at) return PL_E_INTERNAL;
  runes->at = at;
  return PL_OK;
}

pl_status pl_runes_append(pl_runes *runes, const int32_t *from, size_t count) {
  if (count == 0) return PL_OK;
  PL_TRY(pl_runes_reserve(runes, runes->count + count));
  memcpy(runes->at + runes->count, from, count * sizeof *from);
  runes->count += count;
  return PL_OK;
}

void pl_runes_free(pl_runes *runes) {
  pl_free(runes->at);
  *runes = (pl_runes){0};
}
