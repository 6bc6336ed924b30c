/* What code of a loss sees of a pair sweep, on the processor and on a device. For C and CUDA. */
#ifndef LOSSES_PAIR_TILE_H
#define LOSSES_PAIR_TILE_H

#include <stdint.h>

/* Most statistics and figures of a row, and most bytes of its running state. */
enum { PL_PAIR_MAX_STATS = 8, PL_PAIR_MAX_FIGURES = 8, PL_PAIR_MAX_STATE = 128 };

/* One tile of similarities. s[i * stride + j] is that of global row first_row + i and global column
 * first_col + j. */
typedef struct pl_pair_tile {
  float *s;
  int64_t stride;
  int64_t first_row, first_col;
  int rows, cols;
} pl_pair_tile;

/* Below every similarity, yet finite, so that rows of which nothing has been seen give 0 and not
 * NaN. */
#define PL_LOWEST_SIMILARITY (-1e20f)

/* e^{−2‖a−b‖²} = e^{4s − 4} for unit rows, in base 2: 2^{PL_CLOSE_STEEP·(s − 1)}. */
#define PL_CLOSE_STEEP ((float)(4 * 1.4426950408889634))

#endif
