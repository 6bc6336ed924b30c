#include "runtime/data/order.h"

#include <inttypes.h>

#include "runtime/base/memory.h"
#include "runtime/base/random.h"

/* One block, the last in stored order, may be shorter than the others. Wherever the permutation
 * puts it, everything behind it moves up by the `deficit`; positions and sample numbers are
 * therefore counted as if all blocks were full, and corrected when they lie behind that block. */
struct pl_order {
  int64_t samples, block, window, blocks, deficit;
  int64_t window_samples; /* of a full window */
  uint64_t seed;
  bool shuffle;

  int64_t epoch;         /* that block_order is of; -1: none */
  uint32_t *block_order; /* (blocks) place in the epoch -> block */
  int64_t short_place;   /* where block_order puts the last block */

  int64_t window_index;   /* that sample_order is of, in `epoch`; -1: none */
  uint32_t *sample_order; /* place in the window -> place before the samples were permuted */
};

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

pl_status pl_order_create(int64_t samples, int64_t block, int64_t window, uint64_t seed,
                          bool shuffle, pl_order **out) {
  const int64_t most = INT64_C(1) << 32, most_samples = INT64_C(1) << 62;
  if (samples < 1 || samples > most_samples || block < 1 || window < 1) {
    return PL_FAIL(PL_E_USAGE,
                   "sample order: %" PRId64 " samples in blocks of %" PRId64
                   " and windows of %" PRId64 " blocks; all must be at least 1",
                   samples, block, window);
  }
  /* A block or window beyond the dataset means all of it. */
  block = smaller(block, samples);
  int64_t blocks = (samples - 1) / block + 1;
  window = smaller(window, blocks);
  if (shuffle && (blocks > most || window > most / block)) {
    return PL_FAIL(PL_E_USAGE,
                   "sample order: %" PRId64 " blocks, windows of %" PRId64 " x %" PRId64
                   " samples; at most 2^32 of either",
                   blocks, window, block);
  }
  pl_order *order = pl_alloc(1, sizeof *order);
  if (!order) return PL_E_INTERNAL;
  *order = (pl_order){.samples = samples,
                      .block = block,
                      .window = window,
                      .blocks = blocks,
                      .deficit = blocks * block - samples,
                      .window_samples = window * block,
                      .seed = seed,
                      .shuffle = shuffle,
                      .epoch = -1,
                      .window_index = -1};
  if (shuffle) {
    order->block_order = pl_alloc((size_t)blocks, sizeof *order->block_order);
    order->sample_order = pl_alloc((size_t)order->window_samples, sizeof *order->sample_order);
    if (!order->block_order || !order->sample_order) {
      pl_order_destroy(&order);
      return PL_E_INTERNAL;
    }
  }
  *out = order;
  return PL_OK;
}

void pl_order_destroy(pl_order **order) {
  if (!*order) return;
  pl_free((*order)->block_order);
  pl_free((*order)->sample_order);
  pl_free(*order);
  *order = NULL;
}

static void use_epoch(pl_order *order, int64_t epoch) {
  if (order->epoch == epoch) return;
  pl_random random = pl_random_stream(order->seed, PL_RANDOM_ORDER, (uint32_t)epoch, 0, 0);
  pl_random_permutation(&random, order->block_order, (uint64_t)order->blocks);
  order->short_place = 0;
  while (order->block_order[order->short_place] != (uint32_t)(order->blocks - 1)) {
    order->short_place++;
  }
  order->epoch = epoch;
  order->window_index = -1;
}

static void use_window(pl_order *order, int64_t window_index) {
  if (order->window_index == window_index) return;
  int64_t first = window_index * order->window;
  int64_t count = smaller(order->window, order->blocks - first);
  int64_t samples = count * order->block;
  if (order->short_place >= first && order->short_place < first + count) samples -= order->deficit;
  /* b = 0 is the order of blocks */
  pl_random random = pl_random_stream(order->seed, PL_RANDOM_ORDER, (uint32_t)order->epoch,
                                      1 + (uint64_t)window_index, 0);
  pl_random_permutation(&random, order->sample_order, (uint64_t)samples);
  order->window_index = window_index;
}

/* Place in the epoch, counted with all blocks full, of place `at` that counts samples only. */
static int64_t widen(const pl_order *order, int64_t at, int64_t short_place) {
  int64_t short_end = (short_place + 1) * order->block - order->deficit;
  return at < short_end ? at : at + order->deficit;
}

pl_status pl_order_at(pl_order *order, int64_t position, int64_t *sample, int64_t *epoch) {
  if (position < 0 || position / order->samples > UINT32_MAX) {
    return PL_FAIL(PL_E_INTERNAL, "sample order: position %" PRId64 " is outside the stream",
                   position);
  }
  *epoch = position / order->samples;
  int64_t at = position % order->samples;
  if (!order->shuffle) {
    *sample = at;
    return PL_OK;
  }
  use_epoch(order, *epoch);

  /* The window that holds the short block ends early, so windows are told apart by the end of
   * that window, not of that block. */
  int64_t short_window = order->short_place / order->window;
  int64_t last_place = smaller((short_window + 1) * order->window, order->blocks) - 1;
  int64_t window_index = widen(order, at, last_place) / order->window_samples;
  use_window(order, window_index);

  int64_t before = window_index * order->window_samples;
  if (window_index > short_window) before -= order->deficit;
  int64_t unmixed = before + order->sample_order[at - before];
  int64_t wide = widen(order, unmixed, order->short_place);
  *sample = (int64_t)order->block_order[wide / order->block] * order->block + wide % order->block;
  return PL_OK;
}
