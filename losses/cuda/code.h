/* The device code of pairwise losses: what a file X.cu of this folder hands to engine.c. All
 * pointers but contexts are memory of the device; functions start kernels on `stream` and return.
 */
#ifndef LOSSES_CUDA_CODE_H
#define LOSSES_CUDA_CODE_H

#include "losses/pair_tile.h"
#include "runtime/cuda/launch.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pl_pair_code {
  const char *loss; /* the name of the pl_pair_loss that it is for */

  /* As in pl_pair_loss. tile->s is aligned, and rows of it lie a multiple of four apart; what lies
   * behind a row's last column is anything. */
  void (*gather)(pl_stream stream, const void *context, const pl_pair_tile *tile, void *states);

  /* weights, of `type` and laid out as tile->s, in whose place they may be. NULL where the loss has
   * no gradient. */
  void (*weigh)(pl_stream stream, const void *context, const pl_pair_tile *tile,
                const float *row_stats, const float *col_stats, pl_dtype type, void *weights);
} pl_pair_code;

extern const pl_pair_code pl_ntxent_code, pl_clip_softmax_code, pl_clip_sigmoid_code,
    pl_clip_sigmoid_texts_code, pl_uniformity_code;

#ifdef __cplusplus
}
#endif

#endif
