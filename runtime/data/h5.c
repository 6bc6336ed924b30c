#include "runtime/data/h5.h"

#include <stdio.h>

enum { ALIGN_FROM_BYTES = 64 * 1024, ALIGN_TO_BYTES = 4096, WORDS_MAX = 256 };

void pl_h5_quiet(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

hid_t pl_h5_file_access(void) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  if (access < 0) return access;
  if (H5Pset_file_locking(access, 0, 1) < 0 ||
      H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110) < 0 ||
      H5Pset_alignment(access, ALIGN_FROM_BYTES, ALIGN_TO_BYTES) < 0) {
    H5Pclose(access);
    return -1;
  }
  return access;
}

static herr_t copy_words(unsigned depth, const H5E_error2_t *error, void *words) {
  (void)depth;
  snprintf(words, WORDS_MAX, "%s", error->desc ? error->desc : "no reason given");
  return 1; /* the first one visited is the innermost */
}

pl_status pl_h5_fail(pl_status code, const char *path, const char *what) {
  char words[WORDS_MAX] = "no reason given";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, copy_words, words);
  return PL_FAIL(code, "%s: %s (HDF5: %s)", path, what, words);
}
