/* Arrays that grow one element at a time. */
#ifndef PL_BASE_GROW_H
#define PL_BASE_GROW_H

#include <stddef.h>

#include "runtime/base/status.h"

/* Makes room for one more element of `size` bytes behind the `count` that *array (of pl_alloc, or
 * NULL) has: space doubles at powers of two. The new element is zero. PL_E_DATA for more elements
 * than an int counts; *array is valid also after an error. */
pl_status pl_grow(void **array, int count, size_t size);

#endif
