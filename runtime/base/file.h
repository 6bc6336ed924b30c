/* Files: whole reads and writes, durable replacement, folders. Paths are plain C strings. */
#ifndef PL_BASE_FILE_H
#define PL_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/base/status.h"

enum { PL_PATH_MAX = 1024 };

bool pl_path_exists(const char *path);
bool pl_is_folder(const char *path);

/* Joins folder and name into `out` (PL_PATH_MAX bytes). PL_E_USAGE when the path would be too long.
 */
pl_status pl_path_join(const char *folder, const char *name, char *out);

/* Creates a folder and those above it; an existing folder is fine. PL_E_IO. */
pl_status pl_make_folders(const char *path);

/* Reads a whole file into a zero-terminated block that the caller owns (pl_free); `size` may be
 * NULL. A file of more than `limit` bytes is PL_E_DATA, a missing one PL_E_DATA, a read error
 * PL_E_IO. */
pl_status pl_read_file(const char *path, size_t limit, char **text, size_t *size);

/* Replaces the file at `path` so that after a crash either the old or the new content is there:
 * temporary file beside it, fsync, rename, fsync of the folder. PL_E_IO; the old file is then
 * whole. */
pl_status pl_write_file_durably(const char *path, const void *data, size_t size);

/* Reads exactly `size` bytes at `offset`; safe from many threads. A file that ends early is
 * PL_E_DATA, a read error PL_E_IO. `path` is for messages only. */
pl_status pl_read_at(int fd, const char *path, void *into, size_t size, off_t offset);

/* fsync of an existing file or folder by path. PL_E_IO. */
pl_status pl_sync_path(const char *path);

/* Renames and makes the renaming durable (fsync of the parent folder). PL_E_IO. */
pl_status pl_rename_durably(const char *from, const char *to);

/* Removes a folder and all that is in it; a missing one is fine. Does not follow links. PL_E_IO. */
pl_status pl_remove_tree(const char *path);

#endif
