#include "runtime/base/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/account.h"
#include "runtime/base/status.h"

/* Stands before every block, in as many bytes as keep the block aligned. */
typedef struct block_head {
  pl_account_entry entry;
  bool mapped; /* by the system, rather than of the heap */
} block_head;

static_assert(sizeof(block_head) <= PL_ALIGNMENT, "the head of a block fits in its alignment");

/* Planned blocks of this size or more are addresses alone, until they are written to. Some are left
 * to libraries, not all of which survive the lack of them. */
enum { MAPPED_FROM = 1 << 16, LEFT_TO_LIBRARIES = 1 << 27 };

static void *map_pages(size_t bytes) {
  void *pages = mmap(NULL, bytes + LEFT_TO_LIBRARIES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return NULL;
  size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (bytes + page - 1) / page * page;
  munmap((char *)pages + used, bytes + LEFT_TO_LIBRARIES - used);
  return pages;
}

void *pl_alloc(size_t count, size_t size) {
  if (size != 0 && count > (SIZE_MAX - 2 * PL_ALIGNMENT) / size) {
    PL_FAIL(PL_E_INTERNAL, "out of memory: %zu elements of %zu bytes overflow the address space",
            count, size);
    return NULL;
  }
  size_t bytes = PL_ALIGNMENT + pl_align_up(count * size == 0 ? 1 : count * size);
  bool mapped = bytes >= MAPPED_FROM && pl_account_is_planning();
  block_head *head = mapped ? map_pages(bytes) : aligned_alloc(PL_ALIGNMENT, bytes);
  if (!head) {
    pl_account_refuse(PL_ON_HOST, bytes);
    PL_FAIL(PL_E_INTERNAL, "out of memory: %zu bytes could not be had", bytes);
    return NULL;
  }
  if (!mapped) memset(head, 0, bytes);
  head->entry = pl_account_take(PL_ON_HOST, bytes);
  head->mapped = mapped;
  return (char *)head + PL_ALIGNMENT;
}

void pl_free(void *block) {
  if (!block) return;
  block_head *head = (block_head *)(void *)((char *)block - PL_ALIGNMENT);
  pl_account_give_back(&head->entry);
  if (head->mapped) {
    munmap(head, head->entry.bytes);
  } else {
    free(head);
  }
}

char *pl_strdup(const char *text) {
  size_t length = strlen(text) + 1;
  char *copy = pl_alloc(length, 1);
  if (copy) memcpy(copy, text, length);
  return copy;
}

/* Reads one "Name:  123 kB" line of /proc/self/status. */
static size_t status_kilobytes(const char *name) {
  FILE *file = fopen("/proc/self/status", "r");
  if (!file) return 0;
  char line[256];
  size_t kilobytes = 0;
  size_t length = strlen(name);
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, name, length) == 0) {
      kilobytes = strtoull(line + length, NULL, 10);
      break;
    }
  }
  fclose(file);
  return kilobytes;
}

size_t pl_peak_resident_bytes(void) { return status_kilobytes("VmHWM:") * 1024; }
size_t pl_resident_bytes(void) { return status_kilobytes("VmRSS:") * 1024; }
