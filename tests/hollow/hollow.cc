#include "tests/hollow/hollow.h"

#include <stdint.h>
#include <stdio.h>

#include "tests/emulation/queue.h"

namespace {

size_t counts[HOLLOW_CALLS];

/* Told when the library is left, after the program. */
struct teller {
  ~teller() {
    if (counts[HOLLOW_KERNELS] == 0) return;
    fprintf(stderr,
            "hollow GPU: %zu kernels, %zu algorithms for %zu products, %zu plans for %zu "
            "convolutions\n",
            counts[HOLLOW_KERNELS], counts[HOLLOW_ALGORITHMS], counts[HOLLOW_PRODUCTS],
            counts[HOLLOW_PLANS], counts[HOLLOW_CONVOLUTIONS]);
  }
} at_end;

}  // namespace

void hollow_count(hollow_call what) { counts[what]++; }

void hollow_refuse(const char *call, const char *why) {
  fprintf(stderr, "hollow GPU: %s: %s\n", call, why);
}

bool hollow_is_placed(const void *array, size_t bytes, size_t alignment) {
  return (uintptr_t)array % alignment == 0 && device_memory_holds(array, bytes);
}
