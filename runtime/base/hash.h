/* Hashes: CRC32C for samples in shards, xxHash128 for state, files and configurations. */
#ifndef PL_BASE_HASH_H
#define PL_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct pl_hash128 {
  uint64_t low, high;
} pl_hash128;

enum { PL_HASH_TEXT = 33 }; /* 32 hex digits and the terminating zero */

/* XXH3, 128 bits, unseeded. */
pl_hash128 pl_hash(const void *data, size_t size);

int pl_hash_equal(pl_hash128 a, pl_hash128 b);

/* Writes 32 lower-case hex digits, high word first (xxHash's canonical form), into `text`. */
void pl_hash_text(pl_hash128 hash, char text[PL_HASH_TEXT]);

/* CRC32C (Castagnoli, RFC 3720 appendix B.4) of `size` bytes; `crc` is 0 at the start, or the value
 * so far to go on. */
uint32_t pl_crc32c(uint32_t crc, const void *data, size_t size);

#endif
