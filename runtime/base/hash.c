#include "runtime/base/hash.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#endif

pl_hash128 pl_hash(const void *data, size_t size) {
  XXH128_hash_t hash = XXH3_128bits(data, size);
  return (pl_hash128){.low = hash.low64, .high = hash.high64};
}

int pl_hash_equal(pl_hash128 a, pl_hash128 b) { return a.low == b.low && a.high == b.high; }

void pl_hash_text(pl_hash128 hash, char text[PL_HASH_TEXT]) {
  snprintf(text, PL_HASH_TEXT, "%016llx%016llx", (unsigned long long)hash.high,
           (unsigned long long)hash.low);
}

#if defined(__SSE4_2__)

uint32_t pl_crc32c(uint32_t crc, const void *data, size_t size) {
  const unsigned char *bytes = data;
  uint64_t state = ~crc;
  for (; size >= 8; bytes += 8, size -= 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    state = _mm_crc32_u64(state, word);
  }
  uint32_t tail = (uint32_t)state;
  for (; size > 0; size--) tail = _mm_crc32_u8(tail, *bytes++);
  return ~tail;
}

#else

uint32_t pl_crc32c(uint32_t crc, const void *data, size_t size) {
  const unsigned char *bytes = data;
  crc = ~crc;
  for (; size > 0; size--) {
    crc ^= *bytes++;
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
  }
  return ~crc;
}

#endif
