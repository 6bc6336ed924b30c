/* The k most similar keys of each query, over all ranks, never a matrix of queries × keys.
 *
 * The keys are gathered on every rank, twice their size at the peak; similarities are computed tile
 * by tile and only the k best of each query are kept. The answer does not depend on the number of
 * ranks: rank by rank, the local rows make one global order of keys and of queries, tiles are cut
 * at fixed places of these orders, and equal similarities go to the lower key. */
#ifndef MODELS_SEARCH_H
#define MODELS_SEARCH_H

#include <stdint.h>

#include "comm/comm.h"
#include "models/nearest.h"

typedef struct pl_search pl_search;

/* Gathers keys, (count, width) on this rank; count may be 0 and may differ between ranks. The
 * compute team's size is taken now. PL_E_USAGE where no rank has a key and for width or k below 1.
 * Collective; width and k must match on all ranks. */
pl_status pl_search_create(pl_comm *comm, int width, int k, const float *keys, int64_t count,
                           pl_search **out);
void pl_search_destroy(pl_search **search);

/* Keys of all ranks. */
int64_t pl_search_keys(const pl_search *search);

/* How many visits there are at once, at most. */
int pl_search_slots(const pl_search *search);

/* Gathers what else belongs to the keys, row_bytes bytes each, in the order of their indices: `all`
 * holds pl_search_keys() of them. Collective; row_bytes must match on all ranks. */
pl_status pl_search_gather(pl_search *search, const void *mine, void *all, size_t row_bytes);

/* Gets a local query's nearest keys, best first: at most k, and none where features are not
 * numbers. Called from several threads at once, for different queries and with different slots,
 * 0 … pl_search_slots() - 1. */
typedef void (*pl_search_visit)(void *context, int slot, int64_t query, const pl_neighbour *nearest,
                                int count);

/* Visits every local query, (count, width); count may be 0 and may differ between ranks. *total:
 * queries of all ranks. Collective. */
pl_status pl_search_run(pl_search *search, const float *queries, int64_t count,
                        pl_search_visit visit, void *context, int64_t *total);

#endif
