/* Folders searched for images and texts. */
#ifndef LAUNCH_PACK_WALK_H
#define LAUNCH_PACK_WALK_H

#include "launch/pack/names.h"

/* Zero-initialised it is empty. Paths count from the root that was searched. */
typedef struct pl_found {
  pl_names folders;
  pl_names images; /* .jpg, .jpeg, .png in lower or upper case */
  pl_names texts;  /* .txt */
  int64_t others;  /* files with none of these endings */
} pl_found;

/* Adds the entries of `root`/`inner` (inner "." for the root itself), without going deeper. Names
 * that begin with a dot are passed over. Not collective. */
pl_status pl_walk_folder(const char *root, const char *inner, pl_found *found);
/* Adds the images, the texts and the others in `root`/`inner` and in all folders below it. */
pl_status pl_walk_tree(const char *root, const char *inner, pl_found *found);

void pl_found_free(pl_found *found);

#endif
