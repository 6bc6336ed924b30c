/* Rows by their global indices, wherever they lie: each rank holds some consecutive rows of a
 * matrix, and any of these can be gathered on all ranks. */
#ifndef MODELS_PICK_H
#define MODELS_PICK_H

#include <stdint.h>

#include "comm/comm.h"

typedef struct pl_pick pl_pick;

/* For rows of `width` floats, of which this rank holds `count`, of which at most
 * `most` (and no more than there are) are gathered at a time.
 * Errors are agreed. Collective; width and most must match on all ranks. */
pl_status pl_pick_create(pl_comm *comm, int64_t count, int width, int64_t most, pl_pick **out);
void pl_pick_destroy(pl_pick **pick);

/* Rows of all ranks, and the global index of this rank's first. */
int64_t pl_pick_total(const pl_pick *pick);
int64_t pl_pick_first(const pl_pick *pick);

/* Gathers rows index[0 … n-1] out of the ranks' `local` rows, (count, width): *rows points to n
 * pointers, valid until the next call. On one rank they point into `local` itself. Collective; the
 * indices must match on all ranks. */
pl_status pl_pick_rows(pl_pick *pick, const float *local, const uint32_t *index, int64_t n,
                       const float *const **rows);

/* Gathers a value for every row of all ranks into `all`, (total). Collective. */
pl_status pl_pick_values(pl_pick *pick, const int32_t *local, int32_t *all);

#endif
