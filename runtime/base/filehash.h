/* The hash of a file that may be too large for memory. */
#ifndef PL_BASE_FILEHASH_H
#define PL_BASE_FILEHASH_H

#include "runtime/base/hash.h"
#include "runtime/base/status.h"

/* xxHash128 of the first `bytes` bytes of an open file, as text. `path` is for messages. PL_E_DATA
 * for a file that is shorter, PL_E_IO for read errors. */
pl_status pl_hash_file(int fd, const char *path, int64_t bytes, char text[PL_HASH_TEXT]);

#endif
