/* Bytes on their way into an array whose size is not known yet: a nameless file. Inside
 * runtime/data only. */
#ifndef PL_DATA_SPOOL_H
#define PL_DATA_SPOOL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/base/status.h"

typedef struct pl_spool {
  FILE *file;
  int64_t bytes;
} pl_spool;

/* Opens an empty spool in `folder`, so that it fills the disk that the result will fill; it
 * vanishes with the process. */
pl_status pl_spool_open(pl_spool *spool, const char *folder);
pl_status pl_spool_add(pl_spool *spool, const void *data, size_t size);

/* Copies all of it to offset `at` of an open file; `path` is for messages. */
pl_status pl_spool_copy(pl_spool *spool, int fd, const char *path, int64_t at);

/* A zeroed or closed spool is allowed. */
void pl_spool_close(pl_spool *spool);

#endif
