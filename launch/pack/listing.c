#include "launch/pack/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/grow.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/base/utf8.h"

/* Labels that are numbers become classes up to the largest of them, also those that no image has.
 */
enum { NUMBERED_CLASSES_MAX = 100000 };

/* What is longer is no caption: more likely a quote that nobody closed. */
enum { CAPTION_BYTES_MAX = 1 << 20 };

pl_status pl_listing_set_root(pl_listing *listing, const char *folder) {
  if (!pl_is_folder(folder)) return PL_FAIL(PL_E_DATA, "%s is not a folder", folder);
  size_t length = strlen(folder);
  if (length >= sizeof listing->root) {
    return PL_FAIL(PL_E_USAGE, "path too long (over %d bytes): %s", PL_PATH_MAX - 1, folder);
  }
  memcpy(listing->root, folder, length + 1);
  return PL_OK;
}

pl_status pl_listing_set_root_of(pl_listing *listing, const char *file) {
  char folder[PL_PATH_MAX];
  const char *slash = strrchr(file, '/');
  if (!slash) return pl_listing_set_root(listing, ".");
  if (slash == file) return pl_listing_set_root(listing, "/");
  if (slash - file >= PL_PATH_MAX) {
    return PL_FAIL(PL_E_USAGE, "path too long (over %d bytes): %s", PL_PATH_MAX - 1, file);
  }
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - file), file);
  return pl_listing_set_root(listing, folder);
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

pl_status pl_listing_add_caption(pl_listing *listing, const char *text, size_t size) {
  while (size > 0 && is_blank(text[size - 1])) size--;
  while (size > 0 && is_blank(*text)) text++, size--;
  if (size == 0) return PL_FAIL(PL_E_DATA, "the caption is empty");
  if (size > CAPTION_BYTES_MAX) {
    return PL_FAIL(PL_E_DATA, "the caption has %zu bytes; at most %d are accepted", size,
                   CAPTION_BYTES_MAX);
  }
  size_t valid = pl_utf8_valid(text, strnlen(text, size));
  if (valid < size) {
    return PL_FAIL(PL_E_DATA, "the caption is no text in UTF-8, from byte %zu of %zu on", valid + 1,
                   size);
  }
  return pl_names_add_bytes(&listing->captions, text, size);
}

pl_status pl_listing_add(pl_listing *listing, const char *file, const pl_listed *about) {
  void *listed = listing->listed;
  pl_status status = pl_grow(&listed, (int)listing->files.count, sizeof *listing->listed);
  listing->listed = listed;
  PL_TRY(status);
  pl_listed *next = &listing->listed[listing->files.count];
  PL_TRY(pl_names_add(&listing->files, file));
  *next = *about;
  next->captions_end = listing->captions.count;
  return PL_OK;
}

void pl_listing_forget_captions(pl_listing *listing) {
  pl_names_cut(&listing->captions, pl_listing_first_caption(listing, listing->files.count));
}

pl_status pl_listing_settle(pl_listing *listing, const char *file, const pl_listed *about,
                            bool skip_bad, pl_status status) {
  if (status == PL_OK) return pl_listing_add(listing, file, about);
  if (status != PL_E_DATA || !skip_bad) return status;
  PL_WARN("left out: %s", pl_last_reason()->message);
  pl_listing_forget_captions(listing);
  return PL_OK;
}

/* The number that a label is; -1 if it is none. */
static int32_t number_of(const char *label) {
  size_t digits = strspn(label, "0123456789");
  if (digits == 0 || digits > 6 || label[digits] != '\0') return -1;
  if (label[0] == '0' && digits > 1) return -1;
  int32_t number = (int32_t)strtol(label, NULL, 10);
  return number < NUMBERED_CLASSES_MAX ? number : -1;
}

/* Sets *highest to the largest number; false where a label is none. */
static bool are_numbers(const pl_names *labels, int32_t *highest) {
  *highest = -1;
  for (int64_t i = 0; i < labels->count; i++) {
    const char *label = pl_names_at(labels, i);
    int32_t number = number_of(label);
    if (number < 0 && *label) return false;
    if (number > *highest) *highest = number;
  }
  return true;
}

static pl_status name_by_numbers(pl_listing *listing, const pl_names *labels, int32_t highest) {
  char name[16];
  for (int32_t c = 0; c <= highest; c++) {
    snprintf(name, sizeof name, "%d", c);
    PL_TRY(pl_names_add(&listing->classes, name));
  }
  for (int64_t i = 0; i < labels->count; i++) {
    listing->listed[i].label = number_of(pl_names_at(labels, i));
  }
  return PL_OK;
}

/* The class of this name among sorted classes that hold it; -1 for no name. */
static int32_t find_class(const pl_names *classes, const char *name) {
  int64_t low = 0;
  int64_t high = classes->count;
  if (*name == '\0') return -1;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (strcmp(pl_names_at(classes, middle), name) <= 0) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return (int32_t)low;
}

static int compare(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static pl_status name_by_words(pl_listing *listing, const pl_names *labels) {
  const char **sorted = pl_alloc((size_t)labels->count, sizeof *sorted);
  if (!sorted) return PL_E_INTERNAL;
  for (int64_t i = 0; i < labels->count; i++) sorted[i] = pl_names_at(labels, i);
  qsort(sorted, (size_t)labels->count, sizeof *sorted, compare);
  const char *before = "";
  pl_status status = PL_OK;
  for (int64_t i = 0; i < labels->count && status == PL_OK; i++) {
    if (strcmp(sorted[i], before) == 0) continue;
    before = sorted[i];
    status = pl_names_add(&listing->classes, before);
  }
  pl_free(sorted);
  for (int64_t i = 0; i < labels->count && status == PL_OK; i++) {
    listing->listed[i].label = find_class(&listing->classes, pl_names_at(labels, i));
  }
  return status;
}

pl_status pl_listing_name_classes(pl_listing *listing, const pl_names *labels) {
  int32_t highest = -1;
  int64_t without = 0;
  PL_TRY(are_numbers(labels, &highest) ? name_by_numbers(listing, labels, highest)
                                       : name_by_words(listing, labels));
  for (int64_t i = 0; i < labels->count; i++) without += listing->listed[i].label < 0;
  if (without > 0 && listing->classes.count > 0) {
    PL_INFO("%lld of %lld images have no label", (long long)without, (long long)labels->count);
  }
  return PL_OK;
}

pl_status pl_listing_broadcast(pl_comm *comm, pl_listing *listing) {
  PL_TRY(pl_comm_broadcast(comm, listing->root, sizeof listing->root, 0));
  PL_TRY(pl_comm_broadcast(comm, &listing->by_lines, sizeof listing->by_lines, 0));
  PL_TRY(pl_names_broadcast(comm, &listing->files));
  PL_TRY(pl_names_broadcast(comm, &listing->captions));
  PL_TRY(pl_names_broadcast(comm, &listing->classes));
  PL_TRY(pl_names_broadcast(comm, &listing->tars));
  size_t files = (size_t)listing->files.count;
  if (!listing->listed) listing->listed = pl_alloc(files, sizeof *listing->listed);
  PL_TRY(pl_comm_agree(comm, listing->listed ? PL_OK : PL_E_INTERNAL));
  return pl_comm_broadcast(comm, listing->listed, files * sizeof *listing->listed, 0);
}

void pl_listing_free(pl_listing *listing) {
  pl_names_free(&listing->files);
  pl_names_free(&listing->captions);
  pl_names_free(&listing->classes);
  pl_names_free(&listing->tars);
  pl_free(listing->listed);
  *listing = (pl_listing){0};
}
