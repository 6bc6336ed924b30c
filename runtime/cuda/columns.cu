#include "runtime/cuda/columns.h"

/* Enough blocks to fill a device a few times over, and enough positions in each to be worth it. */
size_t pl_launch_column_chunks(size_t positions, size_t columns) {
  const size_t most_blocks = 512, smallest = 64, tile = 4 * PL_WARP;
  size_t tiles = (columns + tile - 1) / tile;
  size_t most = tiles < most_blocks ? most_blocks / tiles : 1;
  size_t chunks = (positions + smallest - 1) / smallest;
  if (chunks > most) chunks = most;
  return chunks > 0 ? chunks : 1;
}
