#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"
#include "runtime/store/part.h"

enum { CHUNK = 1 << 18 }; /* stays in the cache between reading and hashing */

static pl_status hash_stream(int fd, const char *path, int64_t bytes, char *chunk,
                             XXH3_state_t *state) {
  for (int64_t at = 0; at < bytes; at += CHUNK) {
    size_t size = (size_t)(bytes - at < CHUNK ? bytes - at : CHUNK);
    PL_TRY(pl_read_at(fd, path, chunk, size, at));
    XXH3_128bits_update(state, chunk, size);
  }
  return PL_OK;
}

pl_status pl_part_measure(int fd, const char *path, pl_checkpoint_part_record *record) {
  pl_status status;
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return PL_FAIL(PL_E_IO, "cannot tell the size of %s: %s", path, strerror(errno));
  }
  char *chunk = pl_alloc(CHUNK, 1);
  XXH3_state_t *state = XXH3_createState();
  if (!chunk || !state) {
    status = PL_FAIL(PL_E_INTERNAL, "out of memory to hash %s", path);
    goto done;
  }
  XXH3_128bits_reset(state);
  PL_TRY_OR(done, status, hash_stream(fd, path, info.st_size, chunk, state));
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  record->bytes = info.st_size;
  pl_hash_text((pl_hash128){.low = hash.low64, .high = hash.high64}, record->hash);
done:
  XXH3_freeState(state);
  pl_free(chunk);
  return status;
}
