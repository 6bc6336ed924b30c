#include "launch/judge/embedding_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"

/* Rows are written at their places as they lie in memory. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files of representations hold little-endian arrays"
#endif

struct pl_embedding_file {
  pl_comm *comm;
  char path[PL_PATH_MAX], temporary[PL_PATH_MAX];
  int width;
  pl_embeddings_layout layout;
  bool made; /* by this rank, and not renamed yet */
};

static pl_status name_files(pl_embedding_file *file, const char *path) {
  int length = snprintf(file->temporary, PL_PATH_MAX, "%s.tmp", path);
  if (path[0] == '\0') return PL_FAIL(PL_E_USAGE, "the name of the file to make is empty");
  if (length < 0 || length >= PL_PATH_MAX) {
    return PL_FAIL(PL_E_USAGE, "path too long (over %d bytes): %s.tmp", PL_PATH_MAX - 1, path);
  }
  snprintf(file->path, PL_PATH_MAX, "%s", path);
  return PL_OK;
}

static pl_status check_free(const char *path, bool overwrite) {
  if (pl_is_folder(path)) return PL_FAIL(PL_E_USAGE, "%s is a folder, not a file", path);
  if (overwrite || !pl_path_exists(path)) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "%s exists; --overwrite replaces it", path);
}

static pl_status make(pl_embedding_file *file, bool overwrite, const pl_embeddings_facts *facts) {
  PL_TRY(check_free(file->path, overwrite));
  PL_TRY(pl_embeddings_create(file->temporary, facts, &file->layout));
  file->made = true;
  return PL_OK;
}

pl_status pl_embedding_file_create(pl_comm *comm, const char *path, bool overwrite,
                                   const pl_embeddings_facts *facts, pl_embedding_file **out) {
  pl_status status;
  *out = NULL;
  pl_embedding_file *file = pl_alloc(1, sizeof *file);
  PL_TRY_OR(done, status, pl_comm_agree(comm, file ? PL_OK : PL_E_INTERNAL));
  file->comm = comm;
  file->width = facts->width;
  PL_TRY_OR(done, status, pl_comm_agree(comm, name_files(file, path)));
  PL_TRY_OR(done, status,
            pl_comm_agree(comm, pl_comm_rank(comm) == 0 ? make(file, overwrite, facts) : PL_OK));
  status = pl_comm_broadcast(comm, &file->layout, sizeof file->layout, 0);
done:
  if (status != PL_OK) pl_embedding_file_destroy(&file);
  *out = file;
  return status;
}

static pl_status write_at(int fd, const void *data, size_t size, int64_t offset) {
  const char *from = data;
  while (size > 0) {
    ssize_t put = pwrite(fd, from, size, (off_t)offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return PL_FAIL(PL_E_IO, "%s", strerror(errno));
    from += put;
    offset += put;
    size -= (size_t)put;
  }
  return PL_OK;
}

static pl_status write_arrays(int fd, const pl_embedding_file *file,
                              const pl_embedding_rows *rows) {
  const pl_embeddings_layout *at = &file->layout;
  const struct {
    const void *entries;
    size_t row_bytes;
    int64_t at;
  } arrays[] = {{rows->values, (size_t)file->width * sizeof *rows->values, at->values_at},
                {rows->ids, sizeof *rows->ids, at->ids_at},
                {rows->labels, sizeof *rows->labels, at->labels_at}};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
    size_t row_bytes = arrays[i].row_bytes;
    PL_TRY(write_at(fd, arrays[i].entries, (size_t)rows->count * row_bytes,
                    arrays[i].at + rows->first * (int64_t)row_bytes));
  }
  return PL_OK;
}

/* Each rank waits for the disk to have its own rows. */
static pl_status write_rows(const pl_embedding_file *file, const pl_embedding_rows *rows) {
  int fd = open(file->temporary, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return PL_FAIL(PL_E_IO, "cannot open %s: %s", file->temporary, strerror(errno));
  pl_status status = write_arrays(fd, file, rows);
  if (status == PL_OK && fsync(fd) != 0) status = PL_FAIL(PL_E_IO, "%s", strerror(errno));
  if (close(fd) != 0 && status == PL_OK) status = PL_FAIL(PL_E_IO, "%s", strerror(errno));
  return pl_context(status, "cannot write %s", file->temporary);
}

pl_status pl_embedding_file_finish(pl_embedding_file *file, const pl_embedding_rows *rows) {
  pl_status status = PL_OK;
  PL_TRY(pl_comm_agree(file->comm, write_rows(file, rows)));
  if (file->made) {
    status = pl_rename_durably(file->temporary, file->path);
    if (status == PL_OK) file->made = false;
  }
  return pl_comm_agree(file->comm, status);
}

void pl_embedding_file_destroy(pl_embedding_file **file) {
  pl_embedding_file *f = *file;
  if (!f) return;
  if (f->made) unlink(f->temporary);
  pl_free(f);
  *file = NULL;
}
