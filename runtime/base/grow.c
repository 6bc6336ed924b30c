#include "runtime/base/grow.h"

#include <limits.h>
#include <string.h>

#include "runtime/base/memory.h"

pl_status pl_grow(void **array, int count, size_t size) {
  if ((count & (count - 1)) != 0) return PL_OK;
  if (count > INT_MAX / 2) return PL_FAIL(PL_E_DATA, "a list of over %d items", INT_MAX / 2);
  void *larger = pl_alloc(count == 0 ? 1 : (size_t)count * 2, size);
  if (!larger) return PL_E_INTERNAL;
  if (*array) memcpy(larger, *array, (size_t)count * size);
  pl_free(*array);
  *array = larger;
  return PL_OK;
}
