/* An array stored in one piece must have its size stated before it is written, but a shard's is
 * only known at its end. So image and caption bytes go to nameless spool files beside the shard;
 * finishing lays out the HDF5 file with all sizes known and copies the spools into place. That
 * costs a second pass over data still in the page cache, and keeps memory small. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/filehash.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"
#include "runtime/data/manifest.h"
#include "runtime/data/spool.h"
#include "runtime/data/writer_layout.h"

/* A growing array of fixed-size entries. */
typedef struct column {
  void *entries;
  size_t entry_bytes, count, capacity;
} column;

struct pl_shard_writer {
  char folder[PL_PATH_MAX], path[PL_PATH_MAX];
  pl_shard_record record;
  pl_shard_options options;
  pl_spool images, texts;
  column label, id, crc, image_offset;
  column text_first, text_offset, text_crc;
};

static pl_status push(column *c, const void *entry) {
  if (c->count == c->capacity) {
    size_t capacity = c->capacity ? 2 * c->capacity : 1024;
    void *grown = pl_alloc(capacity, c->entry_bytes);
    if (!grown) return PL_E_INTERNAL;
    if (c->count) memcpy(grown, c->entries, c->count * c->entry_bytes);
    pl_free(c->entries);
    c->entries = grown;
    c->capacity = capacity;
  }
  memcpy((char *)c->entries + c->count * c->entry_bytes, entry, c->entry_bytes);
  c->count++;
  return PL_OK;
}

static void free_writer(pl_shard_writer **writer) {
  pl_shard_writer *w = *writer;
  if (!w) return;
  pl_spool_close(&w->images);
  pl_spool_close(&w->texts);
  column *const columns[] = {&w->label,      &w->id,          &w->crc,     &w->image_offset,
                             &w->text_first, &w->text_offset, &w->text_crc};
  for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) pl_free(columns[i]->entries);
  pl_free(w);
  *writer = NULL;
}

static pl_status start(pl_shard_writer *w, const char *folder) {
  static const int64_t zero = 0;
  PL_TRY(pl_path_join(folder, w->record.name, w->path));
  snprintf(w->folder, sizeof w->folder, "%s", folder);
  PL_TRY(pl_spool_open(&w->images, folder));
  PL_TRY(push(&w->image_offset, &zero));
  if (!w->options.captions) return PL_OK;
  PL_TRY(pl_spool_open(&w->texts, folder));
  PL_TRY(push(&w->text_first, &zero));
  return push(&w->text_offset, &zero);
}

pl_status pl_shard_writer_open(const char *folder, int index, const pl_shard_options *options,
                               pl_shard_writer **out) {
  *out = NULL;
  pl_shard_writer *w = pl_alloc(1, sizeof *w);
  if (!w) return PL_E_INTERNAL;
  w->options = *options;
  w->label.entry_bytes = sizeof(int32_t);
  w->crc.entry_bytes = w->text_crc.entry_bytes = sizeof(uint32_t);
  w->id.entry_bytes = w->image_offset.entry_bytes = sizeof(int64_t);
  w->text_first.entry_bytes = w->text_offset.entry_bytes = sizeof(int64_t);
  pl_shard_name(index, w->record.name);
  pl_status status = start(w, folder);
  if (status != PL_OK) free_writer(&w);
  *out = w;
  return status;
}

static pl_status check_sample(const pl_shard_writer *w, const pl_sample *sample) {
  size_t pixels = (size_t)w->options.height * (size_t)w->options.width * 3;
  if (sample->image_bytes == 0 ||
      (w->options.storage == PL_IMAGE_PIXELS && sample->image_bytes != pixels)) {
    return PL_FAIL(PL_E_DATA, "sample %lld: image of %zu bytes does not fit %d x %d pixels",
                   (long long)sample->id, sample->image_bytes, w->options.width, w->options.height);
  }
  const int64_t *ids = w->id.entries;
  if (sample->label < -1 || (w->id.count > 0 && sample->id <= ids[w->id.count - 1])) {
    return PL_FAIL(PL_E_DATA, "sample %lld: label %d below -1, or the id does not ascend",
                   (long long)sample->id, sample->label);
  }
  if (sample->captions > 0 && !w->options.captions) {
    return PL_FAIL(PL_E_DATA, "sample %lld has captions; the shard has none",
                   (long long)sample->id);
  }
  return PL_OK;
}

static pl_status add_captions(pl_shard_writer *w, const pl_sample *sample) {
  for (int i = 0; i < sample->captions; i++) {
    size_t length = strlen(sample->caption[i]);
    uint32_t crc = pl_crc32c(0, sample->caption[i], length);
    PL_TRY(pl_spool_add(&w->texts, sample->caption[i], length));
    PL_TRY(push(&w->text_crc, &crc));
    PL_TRY(push(&w->text_offset, &w->texts.bytes));
  }
  w->record.captions += sample->captions;
  return push(&w->text_first, &w->record.captions);
}

static pl_status add_sample(pl_shard_writer *w, const pl_sample *sample) {
  PL_TRY(check_sample(w, sample));
  uint32_t crc = pl_crc32c(0, sample->image, sample->image_bytes);
  PL_TRY(pl_spool_add(&w->images, sample->image, sample->image_bytes));
  PL_TRY(push(&w->image_offset, &w->images.bytes));
  PL_TRY(push(&w->label, &sample->label));
  PL_TRY(push(&w->id, &sample->id));
  PL_TRY(push(&w->crc, &crc));
  w->record.samples++;
  return w->options.captions ? add_captions(w, sample) : PL_OK;
}

pl_status pl_shard_writer_add(pl_shard_writer *writer, const pl_sample *sample) {
  return pl_context(add_sample(writer, sample), "%s", writer->path);
}

static pl_status lay_out(pl_shard_writer *w, int64_t *images_at, int64_t *texts_at) {
  const pl_layout_array arrays[] = {
      {"/label", PL_LAYOUT_INT32, w->label.entries, w->label.count},
      {"/id", PL_LAYOUT_INT64, w->id.entries, w->id.count},
      {"/crc", PL_LAYOUT_UINT32, w->crc.entries, w->crc.count},
      {"/text/first", PL_LAYOUT_INT64, w->text_first.entries, w->text_first.count},
      {"/text/offset", PL_LAYOUT_INT64, w->text_offset.entries, w->text_offset.count},
      {"/text/crc", PL_LAYOUT_UINT32, w->text_crc.entries, w->text_crc.count},
      {"/image/offset", PL_LAYOUT_INT64, w->image_offset.entries, w->image_offset.count},
  };
  pl_layout layout = {.path = w->path,
                      .samples = w->record.samples,
                      .options = w->options,
                      .image_bytes = w->images.bytes,
                      .text_bytes = w->texts.bytes,
                      .arrays = arrays,
                      .array_count = sizeof arrays / sizeof *arrays};
  PL_TRY(pl_layout_create(&layout));
  *images_at = layout.images_at;
  *texts_at = layout.texts_at;
  return PL_OK;
}

static pl_status fill_and_hash(pl_shard_writer *w, int64_t images_at, int64_t texts_at) {
  pl_status status = PL_OK;
  struct stat info;
  int fd = open(w->path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return PL_FAIL(PL_E_IO, "cannot open %s: %s", w->path, strerror(errno));
  PL_TRY_OR(done, status, pl_spool_copy(&w->images, fd, w->path, images_at));
  if (w->options.captions) {
    PL_TRY_OR(done, status, pl_spool_copy(&w->texts, fd, w->path, texts_at));
  }
  if (fsync(fd) != 0 || fstat(fd, &info) != 0) {
    status = PL_FAIL(PL_E_IO, "cannot sync %s: %s", w->path, strerror(errno));
    goto done;
  }
  w->record.bytes = info.st_size;
  PL_TRY_OR(done, status, pl_hash_file(fd, w->path, w->record.bytes, w->record.hash));
done:
  if (close(fd) != 0 && status == PL_OK) {
    status = PL_FAIL(PL_E_IO, "cannot close %s: %s", w->path, strerror(errno));
  }
  return status;
}

static pl_status finish(pl_shard_writer *w) {
  int64_t images_at = 0;
  int64_t texts_at = 0;
  if (w->record.samples == 0) {
    return PL_FAIL(PL_E_DATA, "shard %s would hold no sample", w->path);
  }
  pl_status status = lay_out(w, &images_at, &texts_at);
  if (status == PL_OK) status = fill_and_hash(w, images_at, texts_at);
  if (status == PL_OK) status = pl_sync_path(w->folder);
  if (status != PL_OK) unlink(w->path);
  return status;
}

pl_status pl_shard_writer_finish(pl_shard_writer **writer, pl_shard_record *record) {
  pl_status status = finish(*writer);
  if (status == PL_OK) *record = (*writer)->record;
  free_writer(writer);
  return status;
}

void pl_shard_writer_discard(pl_shard_writer **writer) { free_writer(writer); }
