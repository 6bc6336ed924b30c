/* What a pair sweep holds on a device, known before there is one. */
#ifndef LOSSES_CUDA_ROOM_H
#define LOSSES_CUDA_ROOM_H

#include "losses/pair_part.h"

typedef struct pl_pair_room {
  int64_t stride; /* elements from one row of a tile to the next: whole fours, of both types */
  int64_t tile;   /* elements of a tile */
  size_t
      column_bytes; /* the columns, in the type of the products: of the sweep and of its mirror */
  /* What the two share: */
  size_t tile_bytes;   /* similarities */
  size_t weight_bytes; /* their weights; 0 where they take the similarities' place */
  size_t state_bytes;  /* running states of the local rows */
  size_t row_stat_bytes, col_stat_bytes;
  size_t scratch_bytes; /* of the products; before these are made, the most that they may ask for */
} pl_pair_room;

void pl_pair_room_of(const pl_pair_part *part, pl_pair_room *out);

/* The sum of it; of a mirror, without what it shares. */
size_t pl_pair_room_bytes(const pl_pair_room *room, bool mirror);

#endif
