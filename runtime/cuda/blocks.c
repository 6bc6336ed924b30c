#include "runtime/cuda/blocks.h"

#include "runtime/base/grow.h"
#include "runtime/base/memory.h"

typedef struct block {
  const void *memory;
  pl_account_entry entry;
} block;

/* A process has some hundred blocks, and seldom asks. */
static block *blocks;
static int count;

pl_status pl_blocks_enter(pl_memory_place place, const void *memory, size_t bytes) {
  void *room = blocks;
  pl_status status = pl_grow(&room, count, sizeof *blocks);
  blocks = room;
  if (status != PL_OK) return status;
  blocks[count++] = (block){memory, pl_account_take(place, bytes)};
  return PL_OK;
}

void pl_blocks_strike(const void *memory) {
  int at = 0;
  while (at < count && blocks[at].memory != memory) at++;
  if (at == count) return;
  pl_account_give_back(&blocks[at].entry);
  blocks[at] = blocks[--count];
  if (count > 0) return;
  pl_free(blocks);
  blocks = NULL;
}
