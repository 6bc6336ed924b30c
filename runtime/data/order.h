/* The order of samples: a pure function of (seed, position in the stream).
 *
 * The stream is epoch after epoch without a break: position p is in epoch p / n. In an epoch,
 * blocks of `block` consecutive samples are permuted, and then the samples inside each window of
 * `window` permuted blocks, so that reading stays within a few stretches of the files while the
 * order is random. Each epoch holds each sample exactly once; a batch may span two epochs, and none
 * is dropped. */
#ifndef PL_DATA_ORDER_H
#define PL_DATA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

typedef struct pl_order pl_order;

/* `block` in samples, `window` in blocks. Memory: 4 bytes for each block of the dataset and for
 * each sample of a window. shuffle false: samples in their stored order, epoch after epoch. Not
 * thread-safe (it remembers the last window). PL_E_USAGE for counts below 1 or beyond 2^32 blocks
 * or samples in a window. */
pl_status pl_order_create(int64_t samples, int64_t block, int64_t window, uint64_t seed,
                          bool shuffle, pl_order **out);
void pl_order_destroy(pl_order **order);

/* The sample at `position` >= 0 and its epoch (below 2^32). */
pl_status pl_order_at(pl_order *order, int64_t position, int64_t *sample, int64_t *epoch);

#endif
