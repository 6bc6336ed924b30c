#include "launch/pack/images.h"

#include "launch/pack/image_file.h"
#include "launch/pack/rounds.h"
#include "launch/pack/tar.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/data/decode.h"

enum {
  FILES_PER_ROUND = 64,
  PIXELS_SIDE_MAX = 96 /* up to here PL_STORE_AUTO prefers fast reading to small files */
};

/* What the first look at a file found; bytes 0: it is bad. */
typedef struct finding {
  int64_t bytes;
  int32_t width, height;
} finding;

struct pl_images {
  pl_images_options options;
  pl_listing listing;
  finding *findings;       /* (files) */
  int64_t first;           /* of this rank's part of the files in the first look */
  int64_t *file;           /* (samples): index of each good file */
  int64_t *sizes;          /* (samples) */
  const char **class_name; /* (classes) */
  const char **caption;    /* (captions of one image) */
  pl_image_file reader;
  pl_tar tar;
  pl_source source;
};

/* Folder, or tar file, and name of an image; together they are its path. */
typedef struct location {
  const char *folder, *name;
} location;

static location locate(const pl_images *f, int64_t image) {
  const pl_listing *l = &f->listing;
  const char *name = pl_names_at(&l->files, image);
  if (l->tars.count > 0) return (location){pl_names_at(&l->tars, l->listed[image].tar), name};
  return *name == '/' ? (location){"", name + 1} : (location){l->root, name};
}

/* Reads the bytes of an image. */
static pl_status fetch(pl_images *f, int64_t image) {
  const location at = locate(f, image);
  char path[PL_PATH_MAX];
  if (f->listing.tars.count == 0) return pl_image_file_read(&f->reader, at.folder, at.name);
  PL_TRY(pl_path_join(f->listing.root, at.folder, path));
  PL_TRY(pl_tar_seek(&f->tar, path, f->listing.listed[image].place));
  PL_TRY(pl_image_file_reserve(&f->reader, at.name, f->tar.size));
  return pl_tar_read(&f->tar, f->reader.image.packed);
}

static pl_status fetch_and_decode(pl_images *f, int64_t image) {
  const location at = locate(f, image);
  PL_TRY(fetch(f, image));
  pl_status status = pl_decode_image(f->reader.image.packed, f->reader.size, &f->reader.image);
  return pl_context(status, "%s/%s", at.folder, at.name);
}

/* Errors name the image; in a table they name the line, too. */
static pl_status read_image(pl_images *f, int64_t image, bool decoded) {
  pl_status status = decoded ? fetch_and_decode(f, image) : fetch(f, image);
  if (!f->listing.by_lines) return status;
  return pl_context(status, "%s:%lld", f->options.listed.source,
                    (long long)f->listing.listed[image].place);
}

static pl_status look_at(pl_images *f, int64_t image) {
  pl_status status = read_image(f, image, true);
  if (status == PL_E_DATA && f->options.listed.skip_bad) {
    PL_WARN("left out: %s", pl_last_reason()->message);
    return PL_OK;
  }
  PL_TRY(status);
  f->findings[image] = (finding){.bytes = (int64_t)f->reader.size,
                                 .width = f->reader.image.width,
                                 .height = f->reader.image.height};
  return PL_OK;
}

static pl_status look_round(void *context, int64_t first, int64_t count) {
  pl_images *f = context;
  for (int64_t i = first; i < first + count; i++) PL_TRY(look_at(f, f->first + i));
  return PL_OK;
}

/* Each rank looks at a contiguous part of the files; then all know all findings. */
static pl_status look_at_all(pl_comm *comm, pl_images *f) {
  int64_t files = f->listing.files.count;
  int ranks = pl_comm_size(comm);
  int rank = pl_comm_rank(comm);
  size_t *bytes = pl_alloc((size_t)ranks, sizeof *bytes);
  f->findings = pl_alloc((size_t)files, sizeof *f->findings);
  pl_status status = pl_comm_agree(comm, bytes && f->findings ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK && bytes) {
    for (int k = 0; k < ranks; k++) {
      bytes[k] = (size_t)(files * (k + 1) / ranks - files * k / ranks) * sizeof *f->findings;
    }
    f->first = files * rank / ranks;
    const pl_rounds rounds = {.doing = "checking",
                              .items = "images",
                              .own = files * (rank + 1) / ranks - f->first,
                              .per_round = FILES_PER_ROUND,
                              .work = look_round,
                              .context = f};
    status = pl_rounds_run(comm, &rounds);
  }
  if (status == PL_OK) status = pl_comm_allgather(comm, f->findings + f->first, f->findings, bytes);
  pl_free(bytes);
  return status;
}

static pl_status keep_good(pl_images *f) {
  int64_t files = f->listing.files.count;
  int64_t good = 0;
  f->file = pl_alloc((size_t)files, sizeof *f->file);
  f->sizes = pl_alloc((size_t)files, sizeof *f->sizes);
  if (!f->file || !f->sizes) return PL_E_INTERNAL;
  for (int64_t i = 0; i < files; i++) {
    if (f->findings[i].bytes == 0) continue;
    f->file[good] = i;
    f->sizes[good] = f->findings[i].bytes;
    good++;
  }
  f->source.samples = good;
  if (good > 0) return PL_OK;
  return PL_FAIL(PL_E_DATA, "none of the %lld images in %s can be decoded", (long long)files,
                 f->options.listed.source);
}

/* The first good file of another size than the first one; -1 if all are alike. */
static int64_t find_odd_one(const pl_images *f) {
  const finding *first = &f->findings[f->file[0]];
  for (int64_t i = 1; i < f->source.samples; i++) {
    const finding *other = &f->findings[f->file[i]];
    if (other->width != first->width || other->height != first->height) return f->file[i];
  }
  return -1;
}

static pl_status refuse_sizes(const pl_images *f, int64_t odd) {
  const finding *first = &f->findings[f->file[0]];
  const finding *other = &f->findings[odd];
  return PL_FAIL(PL_E_USAGE,
                 "%s is %d x %d pixels, %s is %d x %d: images of several sizes are stored as "
                 "pixels only with --size",
                 pl_names_at(&f->listing.files, f->file[0]), first->width, first->height,
                 pl_names_at(&f->listing.files, odd), other->width, other->height);
}

static pl_status choose_storage(pl_images *f) {
  const finding *first = &f->findings[f->file[0]];
  int64_t odd = find_odd_one(f);
  pl_shard_options *shard = &f->source.shard;
  bool small = first->width <= PIXELS_SIDE_MAX && first->height <= PIXELS_SIDE_MAX;
  bool pixels = f->options.storage == PL_STORE_PIXELS || f->options.size > 0 ||
                (f->options.storage == PL_STORE_AUTO && odd < 0 && small);
  if (pixels && odd >= 0 && f->options.size == 0) return refuse_sizes(f, odd);
  shard->storage = pixels ? PL_IMAGE_PIXELS : PL_IMAGE_ENCODED;
  if (f->options.size > 0) {
    shard->width = shard->height = f->options.size;
  } else if (odd < 0) {
    shard->width = first->width;
    shard->height = first->height;
  }
  f->source.sizes = pixels ? NULL : f->sizes;
  return PL_OK;
}

static pl_status name_classes(pl_images *f) {
  int64_t classes = f->listing.classes.count;
  f->class_name = pl_alloc((size_t)classes, sizeof *f->class_name);
  if (!f->class_name) return PL_E_INTERNAL;
  for (int64_t c = 0; c < classes; c++) f->class_name[c] = pl_names_at(&f->listing.classes, c);
  f->source.classes = (int)classes;
  f->source.class_names = f->class_name;
  return PL_OK;
}

static pl_status check_unchanged(const pl_images *f, int64_t image) {
  const location at = locate(f, image);
  if ((int64_t)f->reader.size == f->findings[image].bytes) return PL_OK;
  return PL_FAIL(PL_E_DATA, "%s/%s changed while it was being packed", at.folder, at.name);
}

static void add_captions(pl_images *f, int64_t image, pl_sample *out) {
  int64_t first = pl_listing_first_caption(&f->listing, image);
  out->captions = (int)(f->listing.listed[image].captions_end - first);
  out->caption = f->caption;
  for (int k = 0; k < out->captions; k++) {
    f->caption[k] = pl_names_at(&f->listing.captions, first + k);
  }
}

static pl_status read_sample(void *context, int64_t sample, pl_sample *out) {
  pl_images *f = context;
  const pl_shard_options *shard = &f->source.shard;
  int64_t image = f->file[sample];
  *out = (pl_sample){.label = f->listing.listed[image].label, .id = image};
  add_captions(f, image, out);
  PL_TRY(read_image(f, image, shard->storage == PL_IMAGE_PIXELS));
  if (shard->storage == PL_IMAGE_ENCODED) {
    out->image = f->reader.image.packed;
    out->image_bytes = f->reader.size;
  } else {
    if (f->options.size > 0) PL_TRY(pl_image_file_resize(&f->reader, f->options.size));
    out->image = f->reader.image.pixels;
    out->image_bytes = (size_t)shard->width * (size_t)shard->height * 3;
  }
  return check_unchanged(f, image);
}

/* Rank 0 lists, so that all ranks see the same files whatever their file systems' caches. */
static pl_status list(pl_comm *comm, pl_images *f) {
  pl_status status = PL_OK;
  if (pl_comm_rank(comm) == 0) {
    status = f->options.list(&f->options.listed, &f->listing);
    if (status == PL_OK && f->listing.ignored > 0) {
      PL_INFO("%lld files that are of no use here, by their names, are left out",
              (long long)f->listing.ignored);
    }
  }
  PL_TRY(pl_comm_agree(comm, status));
  return pl_listing_broadcast(comm, &f->listing);
}

/* Room for the captions of whichever image has most. */
static pl_status reserve_captions(pl_images *f) {
  int64_t most = 0;
  for (int64_t i = 0; i < f->listing.files.count; i++) {
    int64_t captions = f->listing.listed[i].captions_end - pl_listing_first_caption(&f->listing, i);
    if (captions > most) most = captions;
  }
  f->source.shard.captions = most > 0;
  f->caption = pl_alloc((size_t)most, sizeof *f->caption);
  return f->caption ? PL_OK : PL_E_INTERNAL;
}

static pl_status decide(pl_images *f) {
  PL_TRY(keep_good(f));
  PL_TRY(choose_storage(f));
  PL_TRY(reserve_captions(f));
  return name_classes(f);
}

pl_status pl_images_open(pl_comm *comm, const pl_images_options *options, pl_images **out) {
  pl_images *f = pl_alloc(1, sizeof *f);
  *out = NULL;
  pl_status status = PL_OK;
  PL_TRY_OR(done, status, pl_comm_agree(comm, f ? PL_OK : PL_E_INTERNAL));
  f->options = *options;
  f->source.read = read_sample;
  f->source.context = f;
  PL_TRY_OR(done, status, list(comm, f));
  PL_TRY_OR(done, status, look_at_all(comm, f));
  PL_TRY_OR(done, status, pl_comm_agree(comm, decide(f)));
  *out = f;
  f = NULL;
done:
  pl_images_close(&f);
  return status;
}

void pl_images_close(pl_images **images) {
  pl_images *f = *images;
  if (!f) return;
  pl_image_file_free(&f->reader);
  pl_listing_free(&f->listing);
  pl_free(f->findings);
  pl_free(f->file);
  pl_free(f->sizes);
  pl_free(f->class_name);
  pl_free(f->caption);
  pl_tar_close(&f->tar);
  pl_free(f);
  *images = NULL;
}

const pl_source *pl_images_source(const pl_images *images) { return &images->source; }
