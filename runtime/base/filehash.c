#include "runtime/base/filehash.h"

#include <xxhash.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"

enum { BLOCK_BYTES = 1 << 18 }; /* stays in the cache between reading and hashing */

pl_status pl_hash_file(int fd, const char *path, int64_t bytes, char text[PL_HASH_TEXT]) {
  pl_status status = PL_OK;
  XXH3_state_t *state = NULL;
  uint8_t *block = pl_alloc(BLOCK_BYTES, 1);
  if (!block) return PL_E_INTERNAL;
  state = XXH3_createState();
  if (!state || XXH3_128bits_reset(state) == XXH_ERROR) {
    status = PL_FAIL(PL_E_INTERNAL, "out of memory: no state for hashing %s", path);
    goto done;
  }
  for (int64_t at = 0; at < bytes;) {
    size_t size = bytes - at < BLOCK_BYTES ? (size_t)(bytes - at) : BLOCK_BYTES;
    PL_TRY_OR(done, status, pl_read_at(fd, path, block, size, at));
    XXH3_128bits_update(state, block, size);
    at += (int64_t)size;
  }
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  pl_hash_text((pl_hash128){.low = hash.low64, .high = hash.high64}, text);
done:
  XXH3_freeState(state);
  pl_free(block);
  return status;
}
