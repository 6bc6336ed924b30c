#include "runtime/base/random.h"

#include <Random123/philox.h>
#include <math.h>

pl_random pl_random_stream(uint64_t seed, pl_random_use use, uint32_t a, uint64_t b, uint32_t c) {
  /* Five words name the stream and four words are the counter: the names are first hashed by
   * Philox itself into a key, so that all of them count in full. */
  philox4x32_ctr_t name = {{a, (uint32_t)b, (uint32_t)(b >> 32), c}};
  philox4x32_key_t named = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
  philox4x32_ctr_t hashed = philox4x32(name, named);
  pl_random r = {.key = {hashed.v[0], hashed.v[1]},
                 .counter = {0, 0, hashed.v[2] ^ (uint32_t)use, hashed.v[3]},
                 .left = 0};
  return r;
}

uint32_t pl_random_bits(pl_random *r) {
  if (r->left == 0) {
    philox4x32_ctr_t counter = {{r->counter[0], r->counter[1], r->counter[2], r->counter[3]}};
    philox4x32_key_t key = {{r->key[0], r->key[1]}};
    philox4x32_ctr_t made = philox4x32(counter, key);
    for (int i = 0; i < 4; i++) r->ready[i] = made.v[i];
    r->left = 4;
    if (++r->counter[0] == 0) ++r->counter[1];
  }
  return r->ready[4 - r->left--];
}

float pl_random_uniform(pl_random *r) { return (float)(pl_random_bits(r) >> 8) * 0x1p-24f; }

uint64_t pl_random_below(pl_random *r, uint64_t n) {
  /* Lemire's multiply-shift with rejection of the few numbers that would bias the result. */
  uint64_t product = (uint64_t)pl_random_bits(r) * n;
  uint64_t low = (uint32_t)product;
  if (low < n) {
    uint64_t floor = ((UINT64_C(1) << 32) - n) % n;
    while (low < floor) {
      product = (uint64_t)pl_random_bits(r) * n;
      low = (uint32_t)product;
    }
  }
  return product >> 32;
}

float pl_random_normal(pl_random *r) {
  /* 1 - u lies in (0, 1], so the logarithm is finite. */
  double u = 1.0 - (double)pl_random_uniform(r);
  double angle = 6.283185307179586 * (double)pl_random_uniform(r);
  return (float)(sqrt(-2.0 * log(u)) * cos(angle));
}

void pl_random_permutation(pl_random *r, uint32_t *order, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) {
    uint64_t j = pl_random_below(r, i + 1);
    order[i] = order[j];
    order[j] = (uint32_t)i;
  }
}
