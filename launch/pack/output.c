#include "launch/pack/output.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/log.h"
#include "runtime/data/manifest.h"

static pl_status add_suffix(const char *path, const char *suffix, char *out) {
  int length = snprintf(out, PL_PATH_MAX, "%s%s", path, suffix);
  if (length >= 0 && length < PL_PATH_MAX) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "path too long (over %d bytes): %s%s", PL_PATH_MAX - 1, path, suffix);
}

pl_status pl_output_paths(const char *out, pl_output *output) {
  /* A folder that exists may be given as "." or through a link; renaming needs its own name. */
  char *real = realpath(out, NULL);
  pl_status status = add_suffix(real ? real : out, "", output->final);
  free(real);
  PL_TRY(status);
  size_t length = strlen(output->final);
  while (length > 1 && output->final[length - 1] == '/') output->final[--length] = '\0';
  if (length == 0) return PL_FAIL(PL_E_USAGE, "the name of the output folder is empty");
  return add_suffix(output->final, ".tmp", output->making);
}

static bool is_of_dataset(const char *name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
         strcmp(name, PL_DATASET_MANIFEST) == 0 || fnmatch("part-*.h5", name, 0) == 0;
}

/* Counts the entries of a folder, and copies the name of one that is no part of a dataset. */
static pl_status look_into(const char *folder, int *entries, char stranger[256]) {
  DIR *dir = opendir(folder);
  *entries = 0;
  stranger[0] = '\0';
  if (!dir) return PL_FAIL(PL_E_IO, "cannot open folder %s: %s", folder, strerror(errno));
  for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    if (!is_of_dataset(entry->d_name)) snprintf(stranger, 256, "%s", entry->d_name);
    *entries += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
  }
  closedir(dir);
  return PL_OK;
}

/* Whatever is removed must look like something that this program made. */
static pl_status check_removable(const char *folder) {
  char stranger[256];
  int entries = 0;
  PL_TRY(look_into(folder, &entries, stranger));
  if (stranger[0] == '\0') return PL_OK;
  return PL_FAIL(PL_E_USAGE, "%s holds %s, which is no part of a dataset; it is left alone", folder,
                 stranger);
}

static pl_status check_final(const char *folder, bool overwrite) {
  char stranger[256];
  int entries = 0;
  if (!pl_path_exists(folder)) return PL_OK;
  if (!pl_is_folder(folder)) return PL_FAIL(PL_E_USAGE, "%s exists and is no folder", folder);
  PL_TRY(look_into(folder, &entries, stranger));
  if (entries > 0 && !overwrite) {
    return PL_FAIL(PL_E_USAGE, "%s exists and is not empty; --overwrite replaces it", folder);
  }
  return check_removable(folder);
}

pl_status pl_output_begin(const pl_output *output, bool overwrite) {
  PL_TRY(check_final(output->final, overwrite));
  if (pl_path_exists(output->making)) {
    PL_INFO("%s is left over from an earlier attempt; removed", output->making);
    PL_TRY(check_removable(output->making));
    PL_TRY(pl_remove_tree(output->making));
  }
  return pl_make_folders(output->making);
}

pl_status pl_output_commit(const pl_output *output) {
  char old[PL_PATH_MAX];
  if (!pl_path_exists(output->final)) return pl_rename_durably(output->making, output->final);
  /* A folder that is not empty cannot be renamed over: for a moment the old dataset bears another
   * name, and both are whole. */
  PL_TRY(add_suffix(output->final, ".old", old));
  PL_TRY(pl_rename_durably(output->final, old));
  PL_TRY(pl_rename_durably(output->making, output->final));
  return pl_remove_tree(old);
}

void pl_output_discard(const pl_output *output) {
  pl_reason reason = *pl_last_reason();
  if (pl_remove_tree(output->making) != PL_OK) PL_WARN("%s", pl_last_reason()->message);
  pl_adopt_reason(&reason);
}
