#include "runtime/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

void *pl_alloc(size_t count, size_t size) {
  if (size != 0 && count > (SIZE_MAX - PL_ALIGNMENT) / size) {
    PL_FAIL(PL_E_INTERNAL, "out of memory: %zu elements of %zu bytes overflow the address space",
            count, size);
    return NULL;
  }
  size_t bytes = pl_align_up(count * size == 0 ? 1 : count * size);
  void *block = aligned_alloc(PL_ALIGNMENT, bytes);
  if (!block) {
    PL_FAIL(PL_E_INTERNAL, "out of memory: %zu bytes could not be had", bytes);
    return NULL;
  }
  memset(block, 0, bytes);
  return block;
}

void pl_free(void *block) { free(block); }

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
