/* The file of representations that all ranks fill (runtime/store/embeddings.h). It bears a
 * temporary name until it is whole, and its bytes do not depend on the number of ranks. */
#ifndef LAUNCH_JUDGE_EMBEDDING_FILE_H
#define LAUNCH_JUDGE_EMBEDDING_FILE_H

#include <stdbool.h>

#include "comm/comm.h"
#include "runtime/store/embeddings.h"

typedef struct pl_embedding_file pl_embedding_file;

/* Rows of the file, as one rank has them. */
typedef struct pl_embedding_rows {
  int64_t first, count;
  const float *values; /* (count, width) */
  const int64_t *ids;
  const int32_t *labels;
} pl_embedding_rows;

/* Makes `path`.tmp with room for everything, on rank 0. PL_E_USAGE where `path` exists, unless
 * `overwrite` is given and it is a file; PL_E_IO. Errors are agreed. Collective; arguments must
 * match on all ranks. */
pl_status pl_embedding_file_create(pl_comm *comm, const char *path, bool overwrite,
                                   const pl_embeddings_facts *facts, pl_embedding_file **out);

/* Writes this rank's rows, which together with those of the others are all there are, and makes the
 * file durable under its own name. PL_E_IO. Errors are agreed. Collective. */
pl_status pl_embedding_file_finish(pl_embedding_file *file, const pl_embedding_rows *rows);

/* Frees the handle; a file that was not finished is removed, and the calling thread's reason kept.
 * NULL is allowed. Not collective. */
void pl_embedding_file_destroy(pl_embedding_file **file);

#endif
