#include "launch/pack/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/memory.h"

enum { BLOCK_BYTES = 1 << 17 };

static pl_status fail(const pl_tar *tar) {
  const char *reason = archive_error_string(tar->archive);
  pl_status code = archive_errno(tar->archive) == EIO ? PL_E_IO : PL_E_DATA;
  return PL_FAIL(code, "%s: %s", tar->path, reason ? reason : "cannot be read to its end");
}

pl_status pl_tar_open(pl_tar *tar, const char *path) {
  pl_tar_close(tar);
  size_t length = strlen(path);
  if (length >= sizeof tar->path) return PL_FAIL(PL_E_USAGE, "path too long: %s", path);
  memcpy(tar->path, path, length + 1);
  if (access(path, R_OK) != 0) {
    return PL_FAIL(errno == ENOENT || errno == ENOTDIR ? PL_E_DATA : PL_E_IO, "cannot open %s: %s",
                   path, strerror(errno));
  }
  tar->archive = archive_read_new();
  if (!tar->archive) return PL_FAIL(PL_E_INTERNAL, "%s: out of memory", path);
  archive_read_support_format_tar(tar->archive);
  archive_read_support_filter_gzip(tar->archive);
  archive_read_support_filter_bzip2(tar->archive);
  archive_read_support_filter_xz(tar->archive);
  archive_read_support_filter_zstd(tar->archive);
  archive_read_support_filter_lz4(tar->archive);
  if (archive_read_open_filename(tar->archive, path, BLOCK_BYTES) != ARCHIVE_OK) return fail(tar);
  tar->member = -1;
  return PL_OK;
}

/* Zeros end a tar file: where reading for another member got none of them, the rest was cut off. */
static pl_status check_end(const pl_tar *tar) {
  struct archive *archive = tar->archive;
  if (archive_filter_bytes(archive, 0) > archive_read_header_position(archive)) return PL_OK;
  return PL_FAIL(PL_E_DATA, "%s is cut off: nothing marks its end", tar->path);
}

pl_status pl_tar_next(pl_tar *tar, bool *more) {
  struct archive_entry *entry = NULL;
  int result = archive_read_next_header(tar->archive, &entry);
  *more = result == ARCHIVE_OK || result == ARCHIVE_WARN;
  if (result == ARCHIVE_EOF) return check_end(tar);
  if (!*more) return fail(tar);
  tar->member++;
  tar->name = NULL;
  tar->size = archive_entry_size(entry);
  if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) return PL_OK;
  /* Names in UTF-8 that the locale cannot express are only to be had as such. */
  tar->name = archive_entry_pathname(entry);
  if (!tar->name) tar->name = archive_entry_pathname_utf8(entry);
  if (tar->name) return PL_OK;
  return PL_FAIL(PL_E_DATA, "%s: the name of member %lld cannot be read", tar->path,
                 (long long)tar->member);
}

pl_status pl_tar_seek(pl_tar *tar, const char *path, int64_t member) {
  if (!tar->archive || strcmp(tar->path, path) != 0 || tar->member >= member) {
    PL_TRY(pl_tar_open(tar, path));
  }
  while (tar->member < member) {
    bool more = false;
    PL_TRY(pl_tar_next(tar, &more));
    if (!more) {
      return PL_FAIL(PL_E_DATA, "%s has no member %lld; did it change?", path, (long long)member);
    }
  }
  return PL_OK;
}

pl_status pl_tar_read(pl_tar *tar, void *into) {
  int64_t done = 0;
  while (done < tar->size) {
    la_ssize_t got =
        archive_read_data(tar->archive, (char *)into + done, (size_t)(tar->size - done));
    if (got < 0) return fail(tar);
    if (got == 0) return PL_FAIL(PL_E_DATA, "%s: %s is cut off", tar->path, tar->name);
    done += got;
  }
  return PL_OK;
}

void pl_tar_close(pl_tar *tar) {
  if (tar->archive) archive_read_free(tar->archive);
  *tar = (pl_tar){0};
}
