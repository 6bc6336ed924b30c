/* The members of tar files, one after another, through libarchive; also of compressed ones. */
#ifndef LAUNCH_PACK_TAR_H
#define LAUNCH_PACK_TAR_H

#include "runtime/base/file.h"

/* Zero-initialised it is closed. */
typedef struct pl_tar {
  char path[PL_PATH_MAX];
  struct archive *archive;
  int64_t member;   /* number of the member at which it is, from 0; -1 before the first */
  const char *name; /* of that member; NULL: it is no regular file; valid until the next one */
  int64_t size;     /* of that member's data */
} pl_tar;

/* Opens a file before its first member; closes the one open before. */
pl_status pl_tar_open(pl_tar *tar, const char *path);
/* Goes to the next member; *more is false at the end. PL_E_DATA for what is no tar file, or is
 * damaged or cut off, be it between two members. */
pl_status pl_tar_next(pl_tar *tar, bool *more);
/* Goes to a member of the tar file at `path`. The file is opened, again if need be, unless it is
 * open and before that member: going forward costs least. */
pl_status pl_tar_seek(pl_tar *tar, const char *path, int64_t member);
/* Reads the data of the member, all of its `size` bytes; once. */
pl_status pl_tar_read(pl_tar *tar, void *into);
void pl_tar_close(pl_tar *tar);

#endif
