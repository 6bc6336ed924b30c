/* Counter-based random numbers (Philox4x32-10; Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011; through Random123).
 *
 * A stream is a pure function of its key, so whoever asks, on whichever rank or thread, gets the
 * same numbers. A key names what the numbers are for and the thing they belong to; two streams with
 * different keys are independent. */
#ifndef PL_BASE_RANDOM_H
#define PL_BASE_RANDOM_H

#include <stdint.h>

/* What a stream is for: the first part of its key, so that uses never share numbers. */
typedef enum pl_random_use {
  PL_RANDOM_INIT = 1,    /* initial parameters: a = tensor, b = block */
  PL_RANDOM_ORDER = 2,   /* sample order: a = epoch, b = block level or window */
  PL_RANDOM_AUGMENT = 3, /* augmentation: a = epoch, b = sample, c = view */
  PL_RANDOM_DROPOUT = 4, /* a = step, b = leaf, c = operation */
  PL_RANDOM_SYNTH = 5,   /* made data: a = sample */
  PL_RANDOM_TEST = 6,
  PL_RANDOM_LINEAR = 7, /* linear evaluation: order of samples, a = epoch; held-out part, c = 1 */
  PL_RANDOM_EMBED = 8,  /* seed of the views and samples embedded: a = epoch of random views */
  PL_RANDOM_CAPTION = 9 /* which of its captions a sample is served with: a = epoch, b = sample */
} pl_random_use;

/* A stream and its position. Plain data; copying it forks the same numbers. */
typedef struct pl_random {
  uint32_t key[2];
  uint32_t counter[4];
  uint32_t ready[4]; /* numbers made but not handed out yet */
  int left;
} pl_random;

/* The stream of (seed, use, a, b, c). It holds 2^66 numbers before it repeats. */
pl_random pl_random_stream(uint64_t seed, pl_random_use use, uint32_t a, uint64_t b, uint32_t c);

/* The next 32 uniform bits. */
uint32_t pl_random_bits(pl_random *r);

/* Uniform in [0, 1), a multiple of 2^-24, exact in float. */
float pl_random_uniform(pl_random *r);

/* Uniform in [low, high). */
static inline float pl_random_range(pl_random *r, float low, float high) {
  return low + (high - low) * pl_random_uniform(r);
}

/* Uniform in 0 … n-1 without bias; 0 < n <= 2^32. */
uint64_t pl_random_below(pl_random *r, uint64_t n);

/* Standard normal (Box–Muller). */
float pl_random_normal(pl_random *r);

/* Puts 0 … n-1 into `order` in random order (Fisher–Yates); n <= 2^32. */
void pl_random_permutation(pl_random *r, uint32_t *order, uint64_t n);

#endif
