/* Writing: parts, manifest, publication. Reading is in checkpoint_read.c. */
#include "runtime/store/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/store/folder.h"
#include "runtime/store/manifest.h"
#include "runtime/store/part.h"

/* The part of rank 0 holds what is replicated, and no other does. */
static pl_status check_vectors(const pl_slice *slice, const pl_checkpoint_vectors *vectors,
                               const pl_checkpoint_vectors *replicated) {
  if ((slice->rank == 0) != (replicated != NULL)) {
    return PL_FAIL(PL_E_INTERNAL, "rank %d gives %s replicated vectors to its part", slice->rank,
                   replicated ? "its" : "no");
  }
  for (int v = 0; v < vectors->count + (replicated ? replicated->count : 0); v++) {
    const char *name = v < vectors->count ? vectors->name[v] : replicated->name[v - vectors->count];
    if (!pl_manifest_is_vector_name(name)) {
      return PL_FAIL(PL_E_INTERNAL, "\"%s\" is not a name for a vector", name);
    }
  }
  return PL_OK;
}

pl_status pl_checkpoint_write_part(const char *parent, int64_t step, const pl_slice *slice,
                                   const pl_checkpoint_vectors *vectors,
                                   const pl_checkpoint_vectors *replicated, int64_t buffer_elements,
                                   pl_checkpoint_part_record *record) {
  pl_status status;
  char name[PL_PART_NAME], temporary[PL_PATH_MAX], path[PL_PATH_MAX];
  pl_manifest_part_name(slice->rank, name);
  PL_TRY(pl_checkpoint_path(parent, step, true, temporary));
  PL_TRY(pl_path_join(temporary, name, path));
  PL_TRY(check_vectors(slice, vectors, replicated));
  PL_TRY(pl_make_folders(temporary));
  PL_TRY_OR(done, status, pl_part_write(path, slice, vectors, replicated, buffer_elements, record));
  PL_TRY_OR(done, status, pl_sync_path(temporary));
done:
  if (status != PL_OK) unlink(path); /* a full disk gets its room back */
  return status;
}

/* Other processes wrote the parts: on a file system that doesn't show them, stop here. */
static pl_status check_parts(const char *temporary, const pl_checkpoint_manifest *manifest) {
  for (int p = 0; p < manifest->parts; p++) {
    char name[PL_PART_NAME], path[PL_PATH_MAX];
    pl_manifest_part_name(p, name);
    PL_TRY(pl_path_join(temporary, name, path));
    struct stat info;
    if (stat(path, &info) != 0) {
      return PL_FAIL(PL_E_IO, "cannot find %s: %s", path, strerror(errno));
    }
    if (info.st_size != manifest->part[p].bytes) {
      return PL_FAIL(PL_E_IO, "%s has %lld bytes here, but %lld were written", path,
                     (long long)info.st_size, (long long)manifest->part[p].bytes);
    }
  }
  return PL_OK;
}

/* The manifest must pass its own reader before anything is published. */
static pl_status check_readable(const char *path, const char *text) {
  pl_manifest *manifest = NULL;
  pl_status status = pl_manifest_parse(path, text, strlen(text), &manifest);
  pl_manifest_destroy(&manifest);
  if (status == PL_OK) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "the manifest would not be readable: %s",
                 pl_last_reason()->message);
}

/* Gives the folder its final name. A checkpoint of that name (the same step, written before a
 * resume) is first moved aside to a name that readers ignore, and removed when the new one stands;
 * after a crash in between, pl_checkpoint_clean puts it back. */
static pl_status publish(const char *parent, int64_t step) {
  char temporary[PL_PATH_MAX], final[PL_PATH_MAX], aside[PL_PATH_MAX];
  PL_TRY(pl_store_path(parent, step, PL_STORE_TEMPORARY, temporary));
  PL_TRY(pl_store_path(parent, step, "", final));
  PL_TRY(pl_store_path(parent, step, PL_STORE_REPLACED, aside));
  if (pl_path_exists(final)) {
    PL_TRY(pl_remove_tree(aside));
    PL_TRY(pl_rename_durably(final, aside));
  }
  PL_TRY(pl_rename_durably(temporary, final));
  return pl_remove_tree(aside);
}

pl_status pl_checkpoint_commit(const char *parent, const pl_space *space,
                               const pl_checkpoint_vectors *vectors,
                               const pl_checkpoint_vectors *replicated,
                               const pl_checkpoint_manifest *manifest) {
  pl_status status;
  char temporary[PL_PATH_MAX], path[PL_PATH_MAX];
  char *text = NULL;
  PL_TRY_OR(done, status, pl_checkpoint_path(parent, manifest->step, true, temporary));
  PL_TRY_OR(done, status, pl_path_join(temporary, "manifest.yaml", path));
  PL_TRY_OR(done, status, check_parts(temporary, manifest));
  PL_TRY_OR(done, status, pl_manifest_write(space, vectors, replicated, manifest, &text));
  PL_TRY_OR(done, status, check_readable(path, text));
  PL_TRY_OR(done, status, pl_write_file_durably(path, text, strlen(text)));
  PL_TRY_OR(done, status, publish(parent, manifest->step));
done:
  free(text);
  return status;
}
