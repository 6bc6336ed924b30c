/* Making a dataset from any source of samples, over all ranks.
 *
 * Shards are cut by the sizes of the samples alone and dealt to ranks in turn, so the dataset is
 * the same, byte for byte, on any number of ranks. */
#ifndef LAUNCH_PACK_PACK_H
#define LAUNCH_PACK_PACK_H

#include "comm/comm.h"
#include "runtime/data/writer.h"

/* Where samples come from. All ranks must hold the same. */
typedef struct pl_source {
  int64_t samples;
  const int64_t *sizes; /* (samples): stored image bytes; NULL: height*width*3 each */
  pl_shard_options shard;
  int classes;
  const char *const *class_names;
  /* Reads a sample; what `out` points to is valid until the next call. Not collective. */
  pl_status (*read)(void *context, int64_t sample, pl_sample *out);
  void *context;
} pl_source;

typedef struct pl_pack_options {
  const char *out;
  int64_t shard_bytes; /* a shard ends before the sample that would make it larger */
  bool overwrite;
} pl_pack_options;

/* Writes the dataset into a folder beside `out` that becomes `out` when all is there; after a
 * failure nothing is left of it. Collective. */
pl_status pl_pack(pl_comm *comm, const pl_source *source, const pl_pack_options *options);

/* Opens the dataset just made and tells of it in one line on stdout. One rank calls it. */
pl_status pl_pack_tell(const char *out);

#endif
