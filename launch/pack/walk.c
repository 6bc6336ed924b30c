#include "launch/pack/walk.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "runtime/base/file.h"

/* Ends loops of links. */
enum { DEPTH_MAX = 16 };

static bool ends_with(const char *name, const char *ending) {
  const char *dot = strrchr(name, '.');
  return dot && strcasecmp(dot, ending) == 0;
}

static pl_status sort_in(const char *name, const char *path, pl_found *found) {
  struct stat info;
  if (stat(path, &info) != 0) {
    return PL_FAIL(PL_E_DATA, "cannot look at %s: %s", path, strerror(errno));
  }
  if (S_ISDIR(info.st_mode)) return pl_names_add(&found->folders, name);
  if (S_ISREG(info.st_mode)) {
    if (ends_with(name, ".jpg") || ends_with(name, ".jpeg") || ends_with(name, ".png")) {
      return pl_names_add(&found->images, name);
    }
    if (ends_with(name, ".txt")) return pl_names_add(&found->texts, name);
  }
  found->others++;
  return PL_OK;
}

pl_status pl_walk_folder(const char *root, const char *inner, pl_found *found) {
  char path[PL_PATH_MAX];
  char entry_path[PL_PATH_MAX];
  char entry_inner[PL_PATH_MAX];
  pl_status status = PL_OK;
  PL_TRY(pl_path_join(root, inner, path));
  DIR *dir = opendir(path);
  if (!dir) return PL_FAIL(PL_E_DATA, "cannot open folder %s: %s", path, strerror(errno));
  for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    const char *name = entry->d_name;
    if (name[0] == '.') continue;
    PL_TRY_OR(done, status, pl_path_join(path, name, entry_path));
    PL_TRY_OR(done, status, pl_path_join(inner, name, entry_inner));
    /* "./name" at the top becomes "name" */
    const char *from_root = strcmp(inner, ".") == 0 ? name : entry_inner;
    PL_TRY_OR(done, status, sort_in(from_root, entry_path, found));
  }
done:
  closedir(dir);
  return status;
}

static pl_status walk(const char *root, const char *inner, int depth, pl_found *found) {
  if (depth > DEPTH_MAX) {
    return PL_FAIL(PL_E_DATA, "%s/%s: folders more than %d deep; a loop of links?", root, inner,
                   DEPTH_MAX);
  }
  pl_names above = found->folders; /* of the folders around this one */
  found->folders = (pl_names){0};
  pl_status status = pl_walk_folder(root, inner, found);
  for (int64_t i = 0; i < found->folders.count && status == PL_OK; i++) {
    status = walk(root, pl_names_at(&found->folders, i), depth + 1, found);
  }
  pl_names_free(&found->folders);
  found->folders = above;
  return status;
}

pl_status pl_walk_tree(const char *root, const char *inner, pl_found *found) {
  return walk(root, inner, 1, found);
}

void pl_found_free(pl_found *found) {
  pl_names_free(&found->folders);
  pl_names_free(&found->images);
  pl_names_free(&found->texts);
  *found = (pl_found){0};
}
