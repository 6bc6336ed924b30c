#include "launch/pack/folder.h"

#include <string.h>

#include "launch/pack/walk.h"
#include "runtime/base/log.h"
#include "runtime/data/writer.h"

/* Adds what was found as images with this label, sorted. */
static pl_status add_images(pl_listing *listing, pl_found *found, int32_t label) {
  const pl_listed about = {.label = label};
  pl_names_sort(&found->images);
  for (int64_t i = 0; i < found->images.count; i++) {
    PL_TRY(pl_listing_add(listing, pl_names_at(&found->images, i), &about));
  }
  listing->ignored += found->texts.count + found->others;
  return PL_OK;
}

static pl_status add_class(pl_listing *listing, const char *name) {
  pl_found found = {0};
  int32_t label = (int32_t)listing->classes.count;
  PL_TRY(pl_dataset_check_class_name(name));
  PL_TRY(pl_names_add(&listing->classes, name));
  pl_status status = pl_walk_tree(listing->root, name, &found);
  if (status == PL_OK && found.images.count == 0) {
    status =
        PL_FAIL(PL_E_DATA, "class folder %s/%s holds no JPEG or PNG file", listing->root, name);
  }
  if (status == PL_OK) status = add_images(listing, &found, label);
  pl_found_free(&found);
  return status;
}

/* A folder of splits given for one split would make the splits the classes. */
static void warn_of_splits(const pl_listing *listing) {
  static const char *const splits[] = {"train", "test", "val", "validation"};
  for (int64_t c = 0; c < listing->classes.count; c++) {
    const char *name = pl_names_at(&listing->classes, c);
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
      if (strcmp(name, splits[i]) != 0) continue;
      PL_WARN("\"%s\" is taken for a class; to pack that part alone, give %s/%s", name,
              listing->root, name);
    }
  }
}

static pl_status add_top(pl_listing *listing, pl_found *top) {
  if (top->folders.count > 0 && top->images.count > 0) {
    return PL_FAIL(PL_E_DATA, "%s holds class folders, such as %s, and also images, such as %s",
                   listing->root, pl_names_at(&top->folders, 0), pl_names_at(&top->images, 0));
  }
  if (top->folders.count == 0 && top->images.count == 0) {
    return PL_FAIL(PL_E_DATA, "%s holds neither class folders nor JPEG or PNG files",
                   listing->root);
  }
  PL_TRY(add_images(listing, top, -1));
  pl_names_sort(&top->folders);
  for (int64_t c = 0; c < top->folders.count; c++) {
    PL_TRY(add_class(listing, pl_names_at(&top->folders, c)));
  }
  warn_of_splits(listing);
  return PL_OK;
}

pl_status pl_list_folder(const pl_list_options *options, pl_listing *listing) {
  pl_found top = {0};
  PL_TRY(pl_listing_set_root(listing, options->source));
  pl_status status = pl_walk_folder(listing->root, ".", &top);
  if (status == PL_OK) status = add_top(listing, &top);
  pl_found_free(&top);
  return status;
}
