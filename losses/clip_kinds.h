/* The two losses of losses/clip.h as kinds of the pair sweep. Internal to this folder. */
#ifndef LOSSES_CLIP_KINDS_H
#define LOSSES_CLIP_KINDS_H

#include "losses/clip_rows.h"
#include "losses/pair.h"

/* Figures of a row, the same for both losses: sums over images and over texts, together divided by
 * the number of rows, are the loss and its slopes. */
enum {
  PL_CLIP_LOSS,
  PL_CLIP_RIGHT,    /* 1 where the partner is more similar than all others */
  PL_CLIP_PARTNER,  /* similarity of the partner */
  PL_CLIP_BY_SCALE, /* ∂ loss / ∂ log scale */
  PL_CLIP_BY_BIAS,
  PL_CLIP_FIGURES
};

/* The kind for the sweep of images over texts, and for its mirror. `terms` must outlive them. */
void pl_clip_softmax_kinds(const pl_clip_terms *terms, pl_pair_loss *images, pl_pair_loss *texts);
void pl_clip_sigmoid_kinds(const pl_clip_terms *terms, pl_pair_loss *images, pl_pair_loss *texts);

/* Where in the tile row i meets its partner; beyond the tile where it does not. */
static inline int pl_clip_partner(const pl_pair_tile *tile, int i) {
  int64_t column = tile->first_row + i - tile->first_col;
  return column >= 0 && column < tile->cols ? (int)column : tile->cols;
}

#endif
