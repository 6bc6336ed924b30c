/* Memory of CUDA in the account of what memory is used for (runtime/base/account.h): the device's
 * blocks have no room for a line about themselves, and pinned ones are not of pl_alloc. One thread.
 */
#ifndef PL_CUDA_BLOCKS_H
#define PL_CUDA_BLOCKS_H

#include <stddef.h>

#include "runtime/base/account.h"

/* Counts a block that was handed out, and one that is given back. */
pl_status pl_blocks_enter(pl_memory_place place, const void *memory, size_t bytes);
void pl_blocks_strike(const void *memory);

#endif
