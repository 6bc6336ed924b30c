/* Representations of a whole dataset, computed over all ranks. */
#ifndef LAUNCH_EMBED_H
#define LAUNCH_EMBED_H

#include "comm/comm.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"
#include "runtime/net/net.h"

/* The part of a dataset's representations that this rank computed: consecutive samples. The cut
 * follows the micro-batches of `eval.micro` images, so each representation is computed in the same
 * company, hence bitwise the same, on any number of ranks. */
typedef struct pl_representations {
  int64_t first, count; /* samples [first, first + count) of the dataset; count may be 0 */
  int width;
  float *values;   /* (count, width) */
  int32_t *labels; /* (count) */
} pl_representations;

/* Sends evaluation views of all samples through `encoder` (compiled for eval.micro rows, loaded).
 * `what` is named in the progress line. The caller frees the result, also after an error. Errors
 * are agreed. Collective. */
pl_status pl_embed(pl_comm *comm, const pl_config *config, const pl_dataset *dataset,
                   pl_net *encoder, const char *what, pl_representations *out);
void pl_representations_free(pl_representations *r);

/* Scales rows to unit length; rows of zeros stay. */
void pl_representations_normalize(pl_representations *r);

#endif
