/* Memory for numbers: aligned, zeroed, overflow-checked, and counted by what it is for
 * (runtime/base/account.h). */
#ifndef PL_BASE_MEMORY_H
#define PL_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Every block starts at a cache line and, with it, at the widest vector. */
enum { PL_ALIGNMENT = 64 };

/* `count` zeroed elements of `size` bytes, aligned to PL_ALIGNMENT. The caller owns them and gives
 * them back with pl_free. NULL when memory can't be had or count*size overflows: the reason is then
 * recorded and the caller returns PL_E_INTERNAL. A count of zero gives a valid pointer. */
void *pl_alloc(size_t count, size_t size);

/* Frees a block of pl_alloc; NULL is allowed. */
void pl_free(void *block);

/* A copy of a string, owned by the caller (pl_free). NULL as for pl_alloc. */
char *pl_strdup(const char *text);

/* Resident memory of this process, at its highest and now, in bytes; 0 where the system tells none.
 */
size_t pl_peak_resident_bytes(void);
size_t pl_resident_bytes(void);

/* Rounds up to a multiple of PL_ALIGNMENT. */
static inline size_t pl_align_up(size_t bytes) {
  return (bytes + PL_ALIGNMENT - 1) / PL_ALIGNMENT * PL_ALIGNMENT;
}

#endif
