/* A saver's own copy of a state and of what a manifest says of it: taken between two steps, and
 * written while the next ones change the live state. */
#ifndef LAUNCH_TRAIN_SAVER_COPY_H
#define LAUNCH_TRAIN_SAVER_COPY_H

#include "launch/train/saver.h"

/* Zero-initialised it holds nothing. */
typedef struct pl_saver_copy {
  pl_checkpoint_vectors sliced, replicated; /* replicated: on rank 0, which saves them for all */
  pl_checkpoint_manifest about;             /* but for the parts, which are known later */
  size_t slice_floats, replicated_floats;   /* of each vector */
  float *storage;                           /* of the vectors */
  char *texts;                              /* of `about` */
  pl_checkpoint_shard *shards;
} pl_saver_copy;

/* Makes room for the vectors of the setup. */
pl_status pl_saver_copy_reserve(pl_saver_copy *copy, const pl_saver_setup *setup);
/* Copies the vectors as they are now. */
pl_status pl_saver_copy_state(pl_saver_copy *copy, const pl_saver_setup *setup);
/* Copies a manifest with all that it points to. */
pl_status pl_saver_copy_about(pl_saver_copy *copy, const pl_checkpoint_manifest *about);
void pl_saver_copy_free(pl_saver_copy *copy);

#endif
