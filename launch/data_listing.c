#include "launch/data_listing.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/data/writer.h"

/* Ends loops of links. */
enum { DEPTH_MAX = 16 };

static bool is_image_name(const char *name) {
  static const char *const endings[] = {".jpg", ".jpeg", ".png"};
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++) {
    if (strcasecmp(dot, endings[i]) == 0) return true;
  }
  return false;
}

/* Adds the entries of `root`/`inner` to `folders` or `images`, as paths from `root` on. */
static pl_status read_folder(const char *root, const char *inner, pl_names *folders,
                             pl_names *images, int64_t *ignored) {
  char path[PL_PATH_MAX];
  char entry_path[PL_PATH_MAX];
  char entry_inner[PL_PATH_MAX];
  struct stat info;
  pl_status status = PL_OK;
  PL_TRY(pl_path_join(root, inner, path));
  DIR *dir = opendir(path);
  if (!dir) return PL_FAIL(PL_E_DATA, "cannot open folder %s: %s", path, strerror(errno));
  for (const struct dirent *entry = readdir(dir); entry && status == PL_OK; entry = readdir(dir)) {
    const char *name = entry->d_name;
    if (name[0] == '.') continue;
    PL_TRY_OR(done, status, pl_path_join(path, name, entry_path));
    PL_TRY_OR(done, status, pl_path_join(inner, name, entry_inner));
    /* "./name" at the top becomes "name" */
    const char *from_root = strcmp(inner, ".") == 0 ? name : entry_inner;
    if (stat(entry_path, &info) != 0) {
      status = PL_FAIL(PL_E_DATA, "cannot look at %s: %s", entry_path, strerror(errno));
    } else if (S_ISDIR(info.st_mode)) {
      status = pl_names_add(folders, from_root);
    } else if (S_ISREG(info.st_mode) && is_image_name(name)) {
      status = pl_names_add(images, from_root);
    } else {
      ++*ignored;
    }
  }
done:
  closedir(dir);
  return status;
}

/* All images in `inner` and below it. */
static pl_status read_tree(const char *root, const char *inner, int depth, pl_names *images,
                           int64_t *ignored) {
  pl_names folders = {0};
  if (depth > DEPTH_MAX) {
    return PL_FAIL(PL_E_DATA, "%s/%s: folders more than %d deep; a loop of links?", root, inner,
                   DEPTH_MAX);
  }
  pl_status status = read_folder(root, inner, &folders, images, ignored);
  for (int64_t i = 0; i < folders.count && status == PL_OK; i++) {
    status = read_tree(root, pl_names_at(&folders, i), depth + 1, images, ignored);
  }
  pl_names_free(&folders);
  return status;
}

static pl_status read_class(const char *root, const char *name, pl_listing *listing) {
  pl_names images = {0};
  PL_TRY(pl_dataset_check_class_name(name));
  pl_status status = read_tree(root, name, 1, &images, &listing->ignored);
  if (status == PL_OK && images.count == 0) {
    status = PL_FAIL(PL_E_DATA, "class folder %s/%s holds no JPEG or PNG file", root, name);
  }
  pl_names_sort(&images);
  for (int64_t i = 0; i < images.count && status == PL_OK; i++) {
    status = pl_names_add(&listing->files, pl_names_at(&images, i));
  }
  pl_names_free(&images);
  return status;
}

static pl_status read_classes(const char *root, pl_listing *listing) {
  int64_t count = listing->classes.count;
  pl_names_sort(&listing->classes);
  listing->class_end = pl_alloc((size_t)count, sizeof *listing->class_end);
  if (!listing->class_end) return PL_E_INTERNAL;
  for (int64_t c = 0; c < count; c++) {
    PL_TRY(read_class(root, pl_names_at(&listing->classes, c), listing));
    listing->class_end[c] = listing->files.count;
  }
  return PL_OK;
}

/* A folder of splits given for one split would make the splits the classes. */
static void warn_of_splits(const char *root, const pl_listing *listing) {
  static const char *const splits[] = {"train", "test", "val", "validation"};
  for (int64_t c = 0; c < listing->classes.count; c++) {
    const char *name = pl_names_at(&listing->classes, c);
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
      if (strcmp(name, splits[i]) != 0) continue;
      PL_WARN("\"%s\" is taken for a class; to pack that part alone, give %s/%s", name, root, name);
    }
  }
}

pl_status pl_listing_read(const char *folder, pl_listing *listing) {
  if (!pl_is_folder(folder)) return PL_FAIL(PL_E_DATA, "%s is not a folder", folder);
  PL_TRY(read_folder(folder, ".", &listing->classes, &listing->files, &listing->ignored));
  if (listing->classes.count > 0 && listing->files.count > 0) {
    return PL_FAIL(PL_E_DATA, "%s holds class folders, such as %s, and also images, such as %s",
                   folder, pl_names_at(&listing->classes, 0), pl_names_at(&listing->files, 0));
  }
  if (listing->classes.count > 0) {
    PL_TRY(read_classes(folder, listing));
    warn_of_splits(folder, listing);
    return PL_OK;
  }
  if (listing->files.count > 0) {
    pl_names_sort(&listing->files);
    return PL_OK;
  }
  return PL_FAIL(PL_E_DATA, "%s holds neither class folders nor JPEG or PNG files", folder);
}

pl_status pl_listing_broadcast(pl_comm *comm, pl_listing *listing) {
  PL_TRY(pl_names_broadcast(comm, &listing->classes));
  PL_TRY(pl_names_broadcast(comm, &listing->files));
  size_t classes = (size_t)listing->classes.count;
  if (!listing->class_end) listing->class_end = pl_alloc(classes, sizeof *listing->class_end);
  PL_TRY(pl_comm_agree(comm, listing->class_end ? PL_OK : PL_E_INTERNAL));
  return pl_comm_broadcast(comm, listing->class_end, classes * sizeof *listing->class_end, 0);
}

int32_t pl_listing_label(const pl_listing *listing, int64_t file) {
  int64_t low = 0;
  int64_t high = listing->classes.count;
  if (high == 0) return -1;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (listing->class_end[middle] <= file) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return (int32_t)low;
}

void pl_listing_free(pl_listing *listing) {
  pl_names_free(&listing->classes);
  pl_names_free(&listing->files);
  pl_free(listing->class_end);
  *listing = (pl_listing){0};
}
