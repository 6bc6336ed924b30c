#include "launch/pack/webdataset.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "launch/pack/tar.h"
#include "launch/pack/walk.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/base/progress.h"
#include "runtime/data/writer.h"

enum { LABEL_BYTES_MAX = 256, CAPTION_BYTES_MAX = 1 << 24 };

/* The sample whose members are being read; all zero: none. */
typedef struct gathered {
  char key[PL_PATH_MAX];
  char image[PL_PATH_MAX]; /* empty: none yet */
  int64_t place;           /* of the image */
  char label[LABEL_BYTES_MAX + 1];
  bool captioned;
  pl_reason wrong; /* with one of its members; code PL_OK: nothing */
} gathered;

typedef struct lister {
  pl_listing *listing;
  bool skip_bad;
  pl_tar tar;
  gathered sample;
  pl_names labels; /* (listing->files.count) */
  pl_names keys;   /* of the samples of this tar file */
} lister;

typedef enum member_kind { MEMBER_OTHER, MEMBER_IMAGE, MEMBER_TEXT, MEMBER_LABEL } member_kind;

/* Also gives the length of the key. */
static member_kind kind_of(const char *name, size_t *key) {
  static const struct {
    const char *ending;
    member_kind kind;
  } kinds[] = {{".jpg", MEMBER_IMAGE},
               {".jpeg", MEMBER_IMAGE},
               {".png", MEMBER_IMAGE},
               {".txt", MEMBER_TEXT},
               {".cls", MEMBER_LABEL}};
  const char *slash = strrchr(name, '/');
  const char *base = slash ? slash + 1 : name;
  const char *dot = strchr(base, '.');
  if (!dot || dot == base) return MEMBER_OTHER; /* ".name" is no key */
  *key = (size_t)(dot - name);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    if (strcasecmp(dot, kinds[i].ending) == 0) return kinds[i].kind;
  }
  return MEMBER_OTHER;
}

static pl_status check_sample(const lister *l) {
  if (l->sample.wrong.code != PL_OK) return pl_adopt_reason(&l->sample.wrong);
  if (*l->sample.image) return PL_OK;
  return PL_FAIL(PL_E_DATA, "no image follows; the members of a sample must lie together");
}

static pl_status finish_sample(lister *l) {
  gathered *s = &l->sample;
  if (*s->key == '\0') return PL_OK;
  const pl_listed about = {
      .place = s->place, .label = -1, .tar = (int32_t)l->listing->tars.count - 1};
  int64_t images = l->listing->files.count;
  pl_status status = pl_context(check_sample(l), "%s, sample %s", l->tar.path, s->key);
  PL_TRY(pl_listing_settle(l->listing, s->image, &about, l->skip_bad, status));
  if (l->listing->files.count > images) {
    PL_TRY(pl_names_add(&l->labels, s->label));
    PL_TRY(pl_names_add(&l->keys, s->key));
  }
  *s = (gathered){0};
  return PL_OK;
}

static pl_status take_image(lister *l) {
  gathered *s = &l->sample;
  if (*s->image) return PL_FAIL(PL_E_DATA, "two images, %s and %s", s->image, l->tar.name);
  memcpy(s->image, l->tar.name, strlen(l->tar.name) + 1);
  s->place = l->tar.member;
  return PL_OK;
}

static pl_status take_text(lister *l) {
  if (l->sample.captioned) return PL_FAIL(PL_E_DATA, "two texts");
  if (l->tar.size > CAPTION_BYTES_MAX) {
    return PL_FAIL(PL_E_DATA, "%s has %lld bytes; that is no caption", l->tar.name,
                   (long long)l->tar.size);
  }
  char *text = pl_alloc((size_t)l->tar.size, 1);
  if (!text) return PL_E_INTERNAL;
  pl_status status = pl_tar_read(&l->tar, text);
  if (status == PL_OK) {
    status = pl_listing_add_caption(l->listing, text, (size_t)l->tar.size);
  }
  pl_free(text);
  l->sample.captioned = true;
  return status;
}

static pl_status take_label(lister *l) {
  char *label = l->sample.label;
  if (*label) return PL_FAIL(PL_E_DATA, "two labels");
  if (l->tar.size > LABEL_BYTES_MAX) {
    return PL_FAIL(PL_E_DATA, "%s has %lld bytes; that is no label", l->tar.name,
                   (long long)l->tar.size);
  }
  PL_TRY(pl_tar_read(&l->tar, label));
  size_t length = strlen(label);
  if ((int64_t)length < l->tar.size) return PL_FAIL(PL_E_DATA, "the label holds a zero byte");
  while (length > 0 && strchr(" \t\r\n", label[length - 1])) length--;
  label[length] = '\0';
  return pl_dataset_check_class_name(label);
}

static pl_status take_member(lister *l) {
  gathered *s = &l->sample;
  size_t key = 0;
  member_kind kind = l->tar.name ? kind_of(l->tar.name, &key) : MEMBER_OTHER;
  if (kind == MEMBER_OTHER) {
    l->listing->ignored += l->tar.name != NULL;
    return PL_OK;
  }
  if (strlen(l->tar.name) >= PL_PATH_MAX) {
    return PL_FAIL(PL_E_DATA, "%s: name too long (over %d bytes): %s", l->tar.path, PL_PATH_MAX - 1,
                   l->tar.name);
  }
  if (strlen(s->key) != key || memcmp(s->key, l->tar.name, key) != 0) {
    PL_TRY(finish_sample(l));
    memcpy(s->key, l->tar.name, key);
  }
  pl_status status = kind == MEMBER_IMAGE  ? take_image(l)
                     : kind == MEMBER_TEXT ? take_text(l)
                                           : take_label(l);
  if (status != PL_E_DATA) return status;
  if (s->wrong.code == PL_OK) s->wrong = *pl_last_reason();
  return PL_OK;
}

/* Unpacked, the later of two samples with one key would replace the other. */
static pl_status check_keys(lister *l) {
  pl_names_sort(&l->keys);
  for (int64_t i = 1; i < l->keys.count; i++) {
    const char *key = pl_names_at(&l->keys, i);
    if (strcmp(pl_names_at(&l->keys, i - 1), key) == 0) {
      return PL_FAIL(PL_E_DATA, "%s: two samples have the key %s", l->tar.path, key);
    }
  }
  pl_names_free(&l->keys);
  return PL_OK;
}

static pl_status read_tar(lister *l, const char *name) {
  char path[PL_PATH_MAX];
  bool more = true;
  PL_TRY(pl_path_join(l->listing->root, name, path));
  PL_TRY(pl_tar_open(&l->tar, path));
  PL_TRY(pl_names_add(&l->listing->tars, name));
  PL_TRY(pl_tar_next(&l->tar, &more));
  while (more) {
    PL_TRY(take_member(l));
    PL_TRY(pl_tar_next(&l->tar, &more));
  }
  PL_TRY(finish_sample(l));
  return check_keys(l);
}

/* Leaves out the images without a caption. */
static void drop_uncaptioned(lister *l) {
  pl_listing *listing = l->listing;
  int64_t kept = 0;
  int64_t captions = 0; /* up to the image before */
  for (int64_t i = 0; i < listing->files.count; i++) {
    int64_t first = captions;
    captions = listing->listed[i].captions_end;
    if (captions == first) continue;
    listing->files.start[kept] = listing->files.start[i];
    listing->listed[kept] = listing->listed[i];
    l->labels.start[kept++] = l->labels.start[i];
  }
  listing->files.count = l->labels.count = kept;
}

static pl_status settle_captions(lister *l) {
  const pl_listing *listing = l->listing;
  int64_t count = 0;
  int64_t example = -1;
  for (int64_t i = listing->files.count - 1; i >= 0; i--) {
    if (listing->listed[i].captions_end > pl_listing_first_caption(listing, i)) continue;
    count++;
    example = i;
  }
  if (count == 0 || count == listing->files.count) return PL_OK;
  pl_status status =
      PL_FAIL(PL_E_DATA, "%s: %lld of %lld samples have no caption, such as that of %s in %s",
              listing->root, (long long)count, (long long)listing->files.count,
              pl_names_at(&listing->files, example),
              pl_names_at(&listing->tars, listing->listed[example].tar));
  if (!l->skip_bad) return status;
  PL_WARN("left out: %s", pl_last_reason()->message);
  drop_uncaptioned(l);
  return PL_OK;
}

static bool is_tar_name(const char *name) {
  static const char *const endings[] = {".tar",    ".tar.gz",  ".tgz",    ".tar.bz2",
                                        ".tar.xz", ".tar.zst", ".tar.lz4"};
  size_t length = strlen(name);
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    size_t end = strlen(endings[i]);
    if (length > end && strcasecmp(name + length - end, endings[i]) == 0) return true;
  }
  return false;
}

/* The tar files of a folder, sorted. */
static pl_status find_tars(const char *folder, pl_names *tars) {
  pl_status status = PL_OK;
  DIR *dir = opendir(folder);
  if (!dir) return PL_FAIL(PL_E_DATA, "cannot open folder %s: %s", folder, strerror(errno));
  for (const struct dirent *e = readdir(dir); e && status == PL_OK; e = readdir(dir)) {
    if (e->d_name[0] != '.' && is_tar_name(e->d_name)) status = pl_names_add(tars, e->d_name);
  }
  closedir(dir);
  pl_names_sort(tars);
  if (status == PL_OK && tars->count == 0) {
    status = PL_FAIL(PL_E_DATA, "%s holds no tar files", folder);
  }
  return status;
}

bool pl_webdataset_detect(const char *path) {
  pl_names tars = {0};
  pl_found found = {0};
  if (!pl_is_folder(path)) return is_tar_name(path);
  bool detected = find_tars(path, &tars) == PL_OK && pl_walk_folder(path, ".", &found) == PL_OK &&
                  found.folders.count == 0 && found.images.count == 0;
  pl_names_free(&tars);
  pl_found_free(&found);
  return detected;
}

static pl_status read_tars(lister *l, const pl_names *tars) {
  pl_progress progress = pl_progress_start("listing", "tar files", tars->count, true);
  pl_status status = PL_OK;
  for (int64_t i = 0; i < tars->count && status == PL_OK; i++) {
    status = read_tar(l, pl_names_at(tars, i));
    pl_progress_show(&progress, i + 1);
  }
  pl_progress_end(&progress);
  PL_TRY(status);
  PL_TRY(settle_captions(l));
  if (l->listing->files.count > 0) return pl_listing_name_classes(l->listing, &l->labels);
  return PL_FAIL(PL_E_DATA, "%s: no image in %s%s", l->listing->root, pl_names_at(tars, 0),
                 tars->count > 1 ? " and the other tar files" : "");
}

pl_status pl_list_webdataset(const pl_list_options *options, pl_listing *listing) {
  lister *l = pl_alloc(1, sizeof *l);
  pl_names tars = {0};
  pl_status status = PL_OK;
  if (!l) return PL_E_INTERNAL;
  l->listing = listing;
  l->skip_bad = options->skip_bad;
  if (pl_is_folder(options->source)) {
    PL_TRY_OR(done, status, pl_listing_set_root(listing, options->source));
    PL_TRY_OR(done, status, find_tars(options->source, &tars));
  } else {
    PL_TRY_OR(done, status, pl_listing_set_root_of(listing, options->source));
    const char *slash = strrchr(options->source, '/');
    PL_TRY_OR(done, status, pl_names_add(&tars, slash ? slash + 1 : options->source));
  }
  PL_TRY_OR(done, status, read_tars(l, &tars));
done:
  pl_tar_close(&l->tar);
  pl_names_free(&l->labels);
  pl_names_free(&l->keys);
  pl_names_free(&tars);
  pl_free(l);
  return status;
}
