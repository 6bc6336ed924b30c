/* Memory of the emulated device: one stretch of addresses that nobody may touch but queued work.
 * Blocks have guards around them, which are looked at when a block is given back; with the address
 * sanitizer they are poisoned. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <map>

#include "tests/emulation/faults.h"
#include "tests/emulation/queue.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, bytes) ((void)(memory), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) ((void)(memory), (void)(bytes))
#endif

namespace {

const size_t TOTAL = fault_memory((size_t)256 << 20) / 4096 * 4096, ALIGNMENT = 256, GUARD = 256;
const size_t OTHERS = fault_memory_of_others(TOTAL);
const int PATTERN = 0xA5, UNSET = 0xFF; /* all ones are NaNs */

char *arena;
bool is_open;
std::map<size_t, size_t> blocks; /* offset, bytes asked for; behind each lies a guard */
size_t taken;

[[noreturn]] void give_up(const char *what) {
  fprintf(stderr, "emulated device memory: %s\n", what);
  abort();
}

size_t room(size_t bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GUARD; }

void protect(bool open) {
  if (mprotect(arena, TOTAL, open ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
    give_up("mprotect failed");
}

/* Work on a block's own bytes also while the queue is not running. */
void touch(void (*work)(char *block, size_t bytes), size_t offset, size_t bytes) {
  if (!is_open) protect(true);
  ASAN_UNPOISON_MEMORY_REGION(arena + offset, room(bytes));
  work(arena + offset, bytes);
  ASAN_POISON_MEMORY_REGION(arena + offset, room(bytes));
  if (!is_open) protect(false);
}

void mark(char *block, size_t bytes) {
  memset(block, UNSET, bytes);
  memset(block + bytes, PATTERN, room(bytes) - bytes);
}

void check_guard(char *block, size_t bytes) {
  for (size_t i = bytes; i < room(bytes); i++) {
    if ((unsigned char)block[i] != PATTERN) give_up("something was written behind a block");
  }
}

}  // namespace

void *device_memory_take(size_t bytes) {
  if (!arena) {
    void *mapped = mmap(nullptr, TOTAL, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) give_up("no addresses");
    arena = (char *)mapped;
    ASAN_POISON_MEMORY_REGION(arena, TOTAL);
  }
  if (bytes > TOTAL || room(bytes) > device_memory_free()) return nullptr;
  size_t end = GUARD; /* of the blocks so far */
  for (const auto &block : blocks) {
    if (block.first - end >= room(bytes)) break;
    end = block.first + room(block.second);
  }
  if (TOTAL - end < room(bytes)) return nullptr;
  touch(mark, end, bytes);
  if (is_open) ASAN_UNPOISON_MEMORY_REGION(arena + end, bytes);
  blocks[end] = bytes;
  taken += room(bytes);
  return arena + end;
}

void device_memory_give(void *memory) {
  auto block = blocks.find((size_t)((char *)memory - arena));
  if (block == blocks.end()) give_up("a block is given back that was never had");
  touch(check_guard, block->first, block->second);
  taken -= room(block->second);
  blocks.erase(block);
}

size_t device_memory_free(void) { return TOTAL - OTHERS > taken ? TOTAL - OTHERS - taken : 0; }
size_t device_memory_total(void) { return TOTAL; }

bool device_memory_holds(const void *memory, size_t bytes) {
  uintptr_t at = (uintptr_t)memory, start = (uintptr_t)arena;
  if (!arena || at < start || at >= start + TOTAL) return false;
  auto block = blocks.upper_bound(at - start);
  if (block == blocks.begin()) return false;
  block--;
  return at - start + bytes <= block->first + block->second;
}

void device_memory_open(void) {
  if (!arena) return;
  is_open = true;
  protect(true);
  for (const auto &block : blocks) ASAN_UNPOISON_MEMORY_REGION(arena + block.first, block.second);
}

void device_memory_close(void) {
  if (!arena) return;
  for (const auto &block : blocks)
    ASAN_POISON_MEMORY_REGION(arena + block.first, room(block.second));
  protect(false);
  is_open = false;
}
