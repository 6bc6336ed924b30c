#include "launch/pack/pairs.h"

#include <string.h>

#include "launch/pack/walk.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

static const size_t TEXT_BYTES_MAX = (size_t)1 << 24;

/* What does not pair up: how many, and the first. */
typedef struct lonely {
  int64_t count;
  const char *first;
} lonely;

static void note(lonely *names, const char *name) {
  if (names->count++ == 0) names->first = name;
}

/* The place of a name in a sorted list; -1 where it is not. */
static int64_t find_name(const pl_names *names, const char *name) {
  int64_t low = 0;
  int64_t high = names->count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    int order = strcmp(pl_names_at(names, middle), name);
    if (order == 0) return middle;
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return -1;
}

/* Adds the captions of a text, line by line. */
static pl_status add_lines(pl_listing *listing, const char *text) {
  static const char mark[] = "\xef\xbb\xbf"; /* that some editors begin a text with */
  int64_t before = listing->captions.count;
  if (strncmp(text, mark, strlen(mark)) == 0) text += strlen(mark);
  for (int64_t line = 1; *text; line++) {
    size_t length = strcspn(text, "\n");
    if (strspn(text, " \t\r\v\f") < length) {
      PL_TRY(
          pl_context(pl_listing_add_caption(listing, text, length), "line %lld", (long long)line));
    }
    text += length + (text[length] == '\n');
  }
  if (listing->captions.count > before) return PL_OK;
  return PL_FAIL(PL_E_DATA, "there is no caption in it");
}

static pl_status add_captions(pl_listing *listing, const char *name) {
  char path[PL_PATH_MAX];
  char *text = NULL;
  size_t size = 0;
  PL_TRY(pl_path_join(listing->root, name, path));
  PL_TRY(pl_read_file(path, TEXT_BYTES_MAX, &text, &size));
  pl_status status = strlen(text) < size ? PL_FAIL(PL_E_DATA, "a zero byte; is it UTF-16?")
                                         : add_lines(listing, text);
  pl_free(text);
  return pl_context(status, "%s", path);
}

/* The name of an image's text. */
static pl_status text_name(const char *image, char name[PL_PATH_MAX]) {
  size_t stem = (size_t)(strrchr(image, '.') - image);
  if (stem + sizeof ".txt" > PL_PATH_MAX) {
    return PL_FAIL(PL_E_USAGE, "path too long (over %d bytes): %s", PL_PATH_MAX - 1, image);
  }
  memcpy(name, image, stem);
  memcpy(name + stem, ".txt", sizeof ".txt");
  return PL_OK;
}

/* `owner` (texts): the image of each text plus one; 0 for none. */
static pl_status add_pairs(pl_listing *listing, const pl_found *found, bool skip_bad,
                           int64_t *owner, lonely *images) {
  const pl_listed about = {.label = -1};
  for (int64_t i = 0; i < found->images.count; i++) {
    const char *image = pl_names_at(&found->images, i);
    char name[PL_PATH_MAX];
    PL_TRY(text_name(image, name));
    int64_t text = find_name(&found->texts, name);
    if (text < 0) {
      note(images, image);
      continue;
    }
    if (owner[text] > 0) {
      return PL_FAIL(PL_E_DATA, "%s: %s would be the text of both %s and %s", listing->root, name,
                     pl_names_at(&found->images, owner[text] - 1), image);
    }
    owner[text] = i + 1;
    pl_status status = add_captions(listing, name);
    PL_TRY(pl_listing_settle(listing, image, &about, skip_bad, status));
  }
  return PL_OK;
}

static pl_status tell_lonely(const char *root, const lonely *names, const char *what,
                             const char *lacks, bool skip_bad) {
  if (names->count == 0) return PL_OK;
  pl_status status = PL_FAIL(PL_E_DATA, "%s: %lld %s without %s beside them, such as %s", root,
                             (long long)names->count, what, lacks, names->first);
  if (!skip_bad) return status;
  PL_WARN("left out: %s", pl_last_reason()->message);
  return PL_OK;
}

static pl_status list(pl_listing *listing, pl_found *found, bool skip_bad) {
  lonely images = {0};
  lonely texts = {0};
  int64_t *owner = pl_alloc((size_t)found->texts.count, sizeof *owner);
  pl_status status = owner ? PL_OK : PL_E_INTERNAL;
  PL_TRY_OR(done, status, status);
  pl_names_sort(&found->images);
  pl_names_sort(&found->texts);
  PL_TRY_OR(done, status, add_pairs(listing, found, skip_bad, owner, &images));
  for (int64_t t = 0; t < found->texts.count; t++) {
    if (owner[t] == 0) note(&texts, pl_names_at(&found->texts, t));
  }
  listing->ignored = found->others;
  PL_TRY_OR(done, status,
            tell_lonely(listing->root, &images, "images", "a .txt of the same name", skip_bad));
  PL_TRY_OR(done, status,
            tell_lonely(listing->root, &texts, "texts", "an image of the same name", skip_bad));
  if (listing->files.count == 0) {
    status = PL_FAIL(PL_E_DATA, "%s holds no image with a text beside it", listing->root);
  }
done:
  pl_free(owner);
  return status;
}

pl_status pl_list_pairs(const pl_list_options *options, pl_listing *listing) {
  pl_found found = {0};
  PL_TRY(pl_listing_set_root(listing, options->source));
  pl_status status = pl_walk_tree(listing->root, ".", &found);
  if (status == PL_OK) status = list(listing, &found, options->skip_bad);
  pl_found_free(&found);
  return status;
}
