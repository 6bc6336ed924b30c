#include "runtime/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/memory.h"

bool pl_path_exists(const char *path) {
  struct stat info;
  return stat(path, &info) == 0;
}

bool pl_is_folder(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

pl_status pl_path_join(const char *folder, const char *name, char *out) {
  int length = snprintf(out, PL_PATH_MAX, "%s/%s", folder, name);
  if (length < 0 || length >= PL_PATH_MAX) {
    return PL_FAIL(PL_E_USAGE, "path too long (over %d bytes): %s/%s", PL_PATH_MAX - 1, folder,
                   name);
  }
  return PL_OK;
}

pl_status pl_make_folders(const char *path) {
  char part[PL_PATH_MAX];
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof part) {
    return PL_FAIL(PL_E_USAGE, "folder name empty or over %d bytes: %s", PL_PATH_MAX - 1, path);
  }
  memcpy(part, path, length + 1);
  for (size_t i = 1; i <= length; i++) {
    if (part[i] != '/' && part[i] != '\0') continue;
    char kept = part[i];
    part[i] = '\0';
    if (mkdir(part, 0777) != 0 && !(errno == EEXIST && pl_is_folder(part))) {
      return PL_FAIL(PL_E_IO, "cannot create folder %s: %s", part, strerror(errno));
    }
    part[i] = kept;
  }
  return PL_OK;
}

pl_status pl_read_at(int fd, const char *path, void *into, size_t size, off_t offset) {
  char *to = into;
  size_t done = 0;
  while (done < size) {
    ssize_t got = pread(fd, to + done, size - done, offset + (off_t)done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return PL_FAIL(PL_E_IO, "cannot read %s: %s", path, strerror(errno));
    if (got == 0) {
      return PL_FAIL(PL_E_DATA, "%s ends at byte %lld where %zu more bytes were expected", path,
                     (long long)(offset + (off_t)done), size - done);
    }
    done += (size_t)got;
  }
  return PL_OK;
}

pl_status pl_read_file(const char *path, size_t limit, char **text, size_t *size) {
  pl_status status = PL_OK;
  *text = NULL;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return PL_FAIL(errno == ENOENT || errno == ENOTDIR ? PL_E_DATA : PL_E_IO, "cannot open %s: %s",
                   path, strerror(errno));
  }
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    status = PL_FAIL(PL_E_DATA, "%s is not a regular file", path);
    goto done;
  }
  if ((uint64_t)info.st_size > limit) {
    status = PL_FAIL(PL_E_DATA, "%s has %lld bytes; at most %zu are accepted here", path,
                     (long long)info.st_size, limit);
    goto done;
  }
  *text = pl_alloc((size_t)info.st_size + 1, 1);
  if (!*text) {
    status = PL_E_INTERNAL;
    goto done;
  }
  status = pl_read_at(fd, path, *text, (size_t)info.st_size, 0);
  if (status == PL_OK && size) *size = (size_t)info.st_size;
done:
  close(fd);
  if (status != PL_OK) {
    pl_free(*text);
    *text = NULL;
  }
  return status;
}

pl_status pl_sync_path(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return PL_FAIL(PL_E_IO, "cannot open %s to sync it: %s", path, strerror(errno));
  int failed = fsync(fd) != 0;
  int reason = errno;
  close(fd);
  if (failed) return PL_FAIL(PL_E_IO, "cannot sync %s: %s", path, strerror(reason));
  return PL_OK;
}

static pl_status sync_parent(const char *path) {
  char copy[PL_PATH_MAX];
  snprintf(copy, sizeof copy, "%s", path);
  return pl_sync_path(dirname(copy));
}

pl_status pl_rename_durably(const char *from, const char *to) {
  if (rename(from, to) != 0) {
    return PL_FAIL(PL_E_IO, "cannot rename %s to %s: %s", from, to, strerror(errno));
  }
  return sync_parent(to);
}

static pl_status write_all(int fd, const char *path, const char *data, size_t size) {
  while (size > 0) {
    ssize_t put = write(fd, data, size);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return PL_FAIL(PL_E_IO, "cannot write %s: %s", path, strerror(errno));
    data += put;
    size -= (size_t)put;
  }
  if (fsync(fd) != 0) return PL_FAIL(PL_E_IO, "cannot sync %s: %s", path, strerror(errno));
  return PL_OK;
}

pl_status pl_write_file_durably(const char *path, const void *data, size_t size) {
  char temporary[PL_PATH_MAX + 32];
  snprintf(temporary, sizeof temporary, "%s.tmp%ld", path, (long)getpid());
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return PL_FAIL(PL_E_IO, "cannot create %s: %s", temporary, strerror(errno));
  pl_status status = write_all(fd, temporary, data, size);
  if (close(fd) != 0 && status == PL_OK) {
    status = PL_FAIL(PL_E_IO, "cannot close %s: %s", temporary, strerror(errno));
  }
  if (status == PL_OK) status = pl_rename_durably(temporary, path);
  if (status != PL_OK) unlink(temporary);
  return status;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk) {
  (void)info;
  (void)kind;
  (void)walk;
  return remove(path);
}

pl_status pl_remove_tree(const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0 && errno == ENOENT) return PL_OK;
  if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
    return PL_FAIL(PL_E_IO, "cannot remove %s: %s", path, strerror(errno));
  }
  return PL_OK;
}
