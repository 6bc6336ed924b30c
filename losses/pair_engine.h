/* Who computes the tiles of a pair sweep: one table for the processor and one for each kind of
 * device. What lies between ranks is losses/pair.c's. Nothing here is collective. */
#ifndef LOSSES_PAIR_ENGINE_H
#define LOSSES_PAIR_ENGINE_H

#include "losses/pair_part.h"

/* What a sweep has gathered; it stays as it is. Memory of the device that computes, but for columns
 * that came by the host. */
typedef struct pl_pair_embeddings {
  const float *rows;    /* (local rows, width) */
  const float *given;   /* (local rows, width): this rank's part of the columns, as it was given */
  const float *columns; /* (total rows, width); NULL: they are in the engine's own place */
  bool on_host;         /* whether the columns are memory of the host */
} pl_pair_embeddings;

typedef struct pl_pair_bytes {
  size_t host, device;
} pl_pair_bytes;

typedef struct pl_pair_engine {
  /* Everything for this part. For a mirror `twin` is the state of its sweep, which outlives it and
   * may share what it has; else NULL. */
  pl_status (*create)(const pl_pair_part *part, void *twin, void **state);
  void (*destroy)(void *state); /* NULL is allowed */

  /* Where columns that come from device to device go: (total rows) of *row_bytes each, with this
   * rank's, given as (local rows, width), in their place among them. NULL where there is no such
   * device. */
  pl_status (*place_columns)(void *state, const float *given, void **columns, size_t *row_bytes);

  /* New embeddings, used from now on. */
  void (*take)(void *state, const pl_pair_embeddings *embeddings);

  /* Sweep 1. stats: (local rows, loss->stats), figures: (local rows, loss->figures). */
  pl_status (*statistics)(void *state, const pl_pair_loss *loss, float *stats, double *figures);

  /* Sweep 2. row_stats: (local rows, loss->stats), col_stats: (total rows, loss->stats); dz: (local
   * rows, width). */
  pl_status (*gradient)(void *state, const pl_pair_loss *loss, const float *row_stats,
                        const float *col_stats, float *dz);

  /* The products of both sweeps, and nothing else. */
  pl_status (*products)(void *state, float *dz);

  /* Without what a mirror shares. */
  pl_pair_bytes (*bytes)(const void *state);
} pl_pair_engine;

extern const pl_pair_engine pl_pair_host_engine;

#endif
