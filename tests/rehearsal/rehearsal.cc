#include "tests/rehearsal/rehearsal.h"

#include <stdint.h>
#include <stdio.h>

#include "tests/emulation/queue.h"

namespace {

size_t counts[REHEARSED];

/* Told when the library is left, after the program. */
struct teller {
  ~teller() {
    if (counts[REHEARSED_KERNELS] == 0) return;
    fprintf(stderr, "rehearsal: %zu kernels, %zu algorithms for %zu products\n",
            counts[REHEARSED_KERNELS], counts[REHEARSED_ALGORITHMS], counts[REHEARSED_PRODUCTS]);
  }
} at_end;

}  // namespace

void rehearsal_count(rehearsed what) { counts[what]++; }

void rehearsal_refuse(const char *call, const char *why) {
  fprintf(stderr, "rehearsal: %s: %s\n", call, why);
}

bool rehearsal_is_placed(const void *array, size_t bytes, size_t alignment) {
  return (uintptr_t)array % alignment == 0 && device_memory_holds(array, bytes);
}
