#include "launch/data_folder.h"

#include "launch/data_listing.h"
#include "launch/data_rounds.h"
#include "launch/image_file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

enum {
  FILES_PER_ROUND = 64,
  PIXELS_SIDE_MAX = 96 /* up to here PL_STORE_AUTO prefers fast reading to small files */
};

/* What the first look at a file found; bytes 0: it is bad. */
typedef struct finding {
  int64_t bytes;
  int32_t width, height;
} finding;

struct pl_folder {
  pl_folder_options options;
  pl_listing listing;
  finding *findings;       /* (files) */
  int64_t first;           /* of this rank's part of the files in the first look */
  int64_t *file;           /* (samples): index of each good file */
  int64_t *sizes;          /* (samples) */
  const char **class_name; /* (classes) */
  pl_image_file reader;
  pl_source source;
};

static pl_status look_at(pl_folder *f, int64_t file) {
  const char *name = pl_names_at(&f->listing.files, file);
  pl_status status = pl_image_file_decode(&f->reader, f->options.folder, name);
  if (status == PL_E_DATA && f->options.skip_bad) {
    PL_WARN("left out: %s", pl_last_reason()->message);
    return PL_OK;
  }
  PL_TRY(status);
  f->findings[file] = (finding){.bytes = (int64_t)f->reader.size,
                                .width = f->reader.image.width,
                                .height = f->reader.image.height};
  return PL_OK;
}

static pl_status look_round(void *context, int64_t first, int64_t count) {
  pl_folder *f = context;
  for (int64_t i = first; i < first + count; i++) PL_TRY(look_at(f, f->first + i));
  return PL_OK;
}

/* Each rank looks at a contiguous part of the files; then all know all findings. */
static pl_status look_at_all(pl_comm *comm, pl_folder *f) {
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

static pl_status keep_good(pl_folder *f) {
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
                 f->options.folder);
}

/* The first good file of another size than the first one; -1 if all are alike. */
static int64_t find_odd_one(const pl_folder *f) {
  const finding *first = &f->findings[f->file[0]];
  for (int64_t i = 1; i < f->source.samples; i++) {
    const finding *other = &f->findings[f->file[i]];
    if (other->width != first->width || other->height != first->height) return f->file[i];
  }
  return -1;
}

static pl_status refuse_sizes(const pl_folder *f, int64_t odd) {
  const finding *first = &f->findings[f->file[0]];
  const finding *other = &f->findings[odd];
  return PL_FAIL(PL_E_USAGE,
                 "%s is %d x %d pixels, %s is %d x %d: images of several sizes are stored as "
                 "pixels only with --size",
                 pl_names_at(&f->listing.files, f->file[0]), first->width, first->height,
                 pl_names_at(&f->listing.files, odd), other->width, other->height);
}

static pl_status choose_storage(pl_folder *f) {
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

static pl_status name_classes(pl_folder *f) {
  int64_t classes = f->listing.classes.count;
  f->class_name = pl_alloc((size_t)classes, sizeof *f->class_name);
  if (!f->class_name) return PL_E_INTERNAL;
  for (int64_t c = 0; c < classes; c++) f->class_name[c] = pl_names_at(&f->listing.classes, c);
  f->source.classes = (int)classes;
  f->source.class_names = f->class_name;
  return PL_OK;
}

static pl_status check_unchanged(const pl_folder *f, int64_t file) {
  const finding *found = &f->findings[file];
  if ((int64_t)f->reader.size == found->bytes) return PL_OK;
  return PL_FAIL(PL_E_DATA, "%s/%s changed while it was being packed", f->options.folder,
                 pl_names_at(&f->listing.files, file));
}

static pl_status read_sample(void *context, int64_t sample, pl_sample *out) {
  pl_folder *f = context;
  const pl_shard_options *shard = &f->source.shard;
  int64_t file = f->file[sample];
  const char *name = pl_names_at(&f->listing.files, file);
  *out = (pl_sample){.label = pl_listing_label(&f->listing, file), .id = file};
  if (shard->storage == PL_IMAGE_ENCODED) {
    PL_TRY(pl_image_file_read(&f->reader, f->options.folder, name));
    out->image = f->reader.image.packed;
    out->image_bytes = f->reader.size;
  } else {
    PL_TRY(pl_image_file_decode(&f->reader, f->options.folder, name));
    if (f->options.size > 0) PL_TRY(pl_image_file_resize(&f->reader, f->options.size));
    out->image = f->reader.image.pixels;
    out->image_bytes = (size_t)shard->width * (size_t)shard->height * 3;
  }
  return check_unchanged(f, file);
}

/* Rank 0 lists, so that all ranks see the same files whatever their file systems' caches. */
static pl_status list(pl_comm *comm, pl_folder *f) {
  pl_status status = PL_OK;
  if (pl_comm_rank(comm) == 0) {
    status = pl_listing_read(f->options.folder, &f->listing);
    if (status == PL_OK && f->listing.ignored > 0) {
      PL_INFO("%lld files that are neither .jpg, .jpeg nor .png are left out",
              (long long)f->listing.ignored);
    }
  }
  PL_TRY(pl_comm_agree(comm, status));
  return pl_listing_broadcast(comm, &f->listing);
}

static pl_status decide(pl_folder *f) {
  PL_TRY(keep_good(f));
  PL_TRY(choose_storage(f));
  return name_classes(f);
}

pl_status pl_folder_open(pl_comm *comm, const pl_folder_options *options, pl_folder **out) {
  pl_folder *f = pl_alloc(1, sizeof *f);
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
  pl_folder_close(&f);
  return status;
}

void pl_folder_close(pl_folder **folder) {
  pl_folder *f = *folder;
  if (!f) return;
  pl_image_file_free(&f->reader);
  pl_listing_free(&f->listing);
  pl_free(f->findings);
  pl_free(f->file);
  pl_free(f->sizes);
  pl_free(f->class_name);
  pl_free(f);
  *folder = NULL;
}

const pl_source *pl_folder_source(const pl_folder *folder) { return &folder->source; }
