#include "runtime/data/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"

enum { BLOCK_BYTES = 1 << 20 };

pl_status pl_spool_open(pl_spool *spool, const char *folder) {
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(folder, "spool-XXXXXX", path));
  int fd = mkostemp(path, O_CLOEXEC);
  if (fd < 0) return PL_FAIL(PL_E_IO, "cannot create %s: %s", path, strerror(errno));
  unlink(path);
  *spool = (pl_spool){.file = fdopen(fd, "w+")};
  if (spool->file) return PL_OK;
  close(fd);
  return PL_FAIL(PL_E_INTERNAL, "cannot buffer a spool file: %s", strerror(errno));
}

pl_status pl_spool_add(pl_spool *spool, const void *data, size_t size) {
  if (fwrite(data, 1, size, spool->file) != size) {
    return PL_FAIL(PL_E_IO, "cannot write a spool file: %s", strerror(errno));
  }
  spool->bytes += (int64_t)size;
  return PL_OK;
}

static pl_status write_at(int fd, const char *path, const char *data, size_t size, int64_t at) {
  while (size > 0) {
    ssize_t put = pwrite(fd, data, size, at);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return PL_FAIL(PL_E_IO, "cannot write %s: %s", path, strerror(errno));
    data += put;
    at += put;
    size -= (size_t)put;
  }
  return PL_OK;
}

pl_status pl_spool_copy(pl_spool *spool, int fd, const char *path, int64_t at) {
  pl_status status = PL_OK;
  if (fflush(spool->file) != 0) {
    return PL_FAIL(PL_E_IO, "cannot write a spool file: %s", strerror(errno));
  }
  char *block = pl_alloc(BLOCK_BYTES, 1);
  if (!block) return PL_E_INTERNAL;
  for (int64_t done = 0; done < spool->bytes && status == PL_OK;) {
    int64_t left = spool->bytes - done;
    size_t size = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
    status = pl_read_at(fileno(spool->file), "the spool file", block, size, done);
    if (status == PL_OK) status = write_at(fd, path, block, size, at + done);
    done += (int64_t)size;
  }
  pl_free(block);
  return status;
}

void pl_spool_close(pl_spool *spool) {
  if (spool->file) fclose(spool->file);
  *spool = (pl_spool){0};
}
