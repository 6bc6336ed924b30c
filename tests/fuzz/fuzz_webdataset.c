/* Any bytes as a tar file of samples: refused as bad data, or listed with captions and labels that
 * a dataset can hold; also where what is bad is to be left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "launch/pack/webdataset.h"
#include "runtime/base/log.h"
#include "runtime/base/utf8.h"
#include "tests/fuzz/fuzz.h"

static bool is_whole(const pl_listing *l) {
  int64_t captions = 0;
  for (int64_t i = 0; i < l->files.count; i++) {
    const pl_listed *about = &l->listed[i];
    bool captioned = about->captions_end == captions + 1;
    if (!captioned && about->captions_end != captions) return false;
    if (l->captions.count > 0 && !captioned) return false;
    if (about->label < -1 || about->label >= l->classes.count) return false;
    if (about->tar != 0 || about->place < 0 || *pl_names_at(&l->files, i) == '\0') return false;
    captions = about->captions_end;
  }
  for (int64_t i = 0; i < l->captions.count; i++) {
    const char *text = pl_names_at(&l->captions, i);
    size_t length = strlen(text);
    if (length == 0 || pl_utf8_valid(text, length) != length) return false;
  }
  return l->files.count > 0 && captions == l->captions.count;
}

static void list(const char *path, bool skip_bad) {
  const pl_list_options options = {.source = path, .skip_bad = skip_bad};
  pl_listing listing = {0};
  pl_status status = pl_list_webdataset(&options, &listing);
  if (status == PL_OK ? !is_whole(&listing) : status != PL_E_DATA) {
    fprintf(stderr, "status %d: %s\n", status, status ? pl_last_reason()->message : "not whole");
    abort();
  }
  pl_listing_free(&listing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  int file = memfd_create("fuzz.tar", 0);
  if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", file);
  pl_log_set_level(PL_LOG_ERROR);
  list(path, false);
  list(path, true);
  close(file);
  return 0;
}
