#include "runtime/data/dataset.h"

#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/data/shard.h"

struct pl_dataset {
  pl_dataset_manifest *manifest;
  pl_shard *shard;        /* (info.shards) */
  int opened;             /* how many of them are open */
  int64_t *first;         /* (info.shards + 1): first sample of each shard */
  int64_t *first_caption; /* (info.shards + 1) */
};

static pl_status open_shards(pl_dataset *d) {
  const pl_dataset_manifest *m = d->manifest;
  for (int s = 0; s < m->info.shards; s++) {
    PL_TRY(pl_shard_open(m, s, &d->shard[s]));
    d->opened = s + 1;
    d->first[s + 1] = d->first[s] + d->shard[s].samples;
    d->first_caption[s + 1] = d->first_caption[s] + d->shard[s].captions;
    if (s > 0 && d->shard[s].id[0] <= d->shard[s - 1].id[d->shard[s - 1].samples - 1]) {
      return PL_FAIL(PL_E_DATA, "%s: /id does not ascend from the shard before", d->shard[s].path);
    }
  }
  return PL_OK;
}

pl_status pl_dataset_open(const char *folder, pl_dataset **out) {
  PL_MEMORY_FOR(PL_MEMORY_DATA);
  pl_status status = PL_OK;
  pl_dataset *d = pl_alloc(1, sizeof *d);
  *out = NULL;
  if (!d) return PL_E_INTERNAL;
  PL_TRY_OR(done, status, pl_dataset_manifest_read(folder, &d->manifest));
  d->shard = pl_alloc((size_t)d->manifest->info.shards, sizeof *d->shard);
  d->first = pl_alloc((size_t)d->manifest->info.shards + 1, sizeof *d->first);
  d->first_caption = pl_alloc((size_t)d->manifest->info.shards + 1, sizeof *d->first_caption);
  if (!d->shard || !d->first || !d->first_caption) {
    status = PL_E_INTERNAL;
    goto done;
  }
  PL_TRY_OR(done, status, open_shards(d));
  *out = d;
  d = NULL;
done:
  pl_dataset_close(&d);
  return status;
}

void pl_dataset_close(pl_dataset **dataset) {
  pl_dataset *d = *dataset;
  if (!d) return;
  for (int s = 0; s < d->opened; s++) pl_shard_close(&d->shard[s]);
  pl_free(d->shard);
  pl_free(d->first);
  pl_free(d->first_caption);
  pl_dataset_manifest_destroy(&d->manifest);
  pl_free(d);
  *dataset = NULL;
}

const pl_dataset_info *pl_dataset_get_info(const pl_dataset *dataset) {
  return &dataset->manifest->info;
}

const char *pl_dataset_class_name(const pl_dataset *dataset, int label) {
  const pl_dataset_manifest *m = dataset->manifest;
  return label >= 0 && label < m->info.classes ? m->class_name[label] : NULL;
}

/* The k of `count` runs, run k being [first[k], first[k+1]), that holds `value`, which is in one of
 * them. Empty runs are passed over. */
static int64_t find_run(const int64_t *first, int64_t count, int64_t value) {
  int64_t low = 0;
  int64_t high = count;
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    if (first[middle] <= value) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

void pl_dataset_locate(const pl_dataset *dataset, int64_t sample, int *shard, int64_t *position) {
  PL_INVARIANT(sample >= 0 && sample < dataset->manifest->info.samples);
  *shard = (int)find_run(dataset->first, dataset->opened, sample);
  *position = sample - dataset->first[*shard];
}

void pl_dataset_locate_caption(const pl_dataset *dataset, int64_t caption, int64_t *sample,
                               int *index) {
  PL_INVARIANT(caption >= 0 && caption < dataset->manifest->info.captions);
  int64_t s = find_run(dataset->first_caption, dataset->opened, caption);
  const pl_shard *shard = &dataset->shard[s];
  int64_t inside = caption - dataset->first_caption[s];
  int64_t position = find_run(shard->text_first, shard->samples, inside);
  *sample = dataset->first[s] + position;
  *index = (int)(inside - shard->text_first[position]);
}

static const pl_shard *find(const pl_dataset *dataset, int64_t sample, int64_t *position) {
  int shard = 0;
  pl_dataset_locate(dataset, sample, &shard, position);
  return &dataset->shard[shard];
}

int32_t pl_dataset_label(const pl_dataset *dataset, int64_t sample) {
  int64_t position = 0;
  return find(dataset, sample, &position)->label[position];
}

int64_t pl_dataset_id(const pl_dataset *dataset, int64_t sample) {
  int64_t position = 0;
  return find(dataset, sample, &position)->id[position];
}

const char *pl_dataset_shard_path(const pl_dataset *dataset, int shard) {
  return dataset->shard[shard].path;
}

/* Where the images of one encoded shard have most bytes. */
static int64_t find_most_packed(const pl_shard *shard, size_t *bytes) {
  int64_t most = 0;
  *bytes = 0;
  for (int64_t i = 0; i < shard->samples; i++) {
    size_t own = (size_t)(shard->image_offset[i + 1] - shard->image_offset[i]);
    if (own <= *bytes) continue;
    *bytes = own;
    most = i;
  }
  return most;
}

static int64_t find_most_stored(const pl_dataset *dataset) {
  size_t most = 0;
  int64_t sample = 0;
  for (int s = 0; s < dataset->opened; s++) {
    size_t bytes;
    int64_t position = find_most_packed(&dataset->shard[s], &bytes);
    if (bytes <= most) continue;
    most = bytes;
    sample = dataset->first[s] + position;
  }
  return sample;
}

pl_status pl_dataset_largest_image(const pl_dataset *dataset, pl_image_extent *out) {
  const pl_dataset_info *info = pl_dataset_get_info(dataset);
  *out = (pl_image_extent){.width = info->width, .height = info->height};
  if (info->storage == PL_IMAGE_PIXELS) return PL_OK;
  pl_image image = {0};
  pl_status status = pl_dataset_read_image(dataset, find_most_stored(dataset), &image);
  *out = (pl_image_extent){.width = image.width,
                           .height = image.height,
                           .packed_bytes = image.packed_capacity,
                           .decoder_bytes = image.decoder_bytes};
  pl_image_free(&image);
  if (status != PL_OK) *out = (pl_image_extent){0};
  return status == PL_E_DATA ? PL_OK : status;
}

pl_status pl_dataset_read_image(const pl_dataset *dataset, int64_t sample, pl_image *image) {
  int64_t position = 0;
  const pl_shard *shard = find(dataset, sample, &position);
  return pl_shard_read_image(shard, position, image);
}

int pl_dataset_caption_count(const pl_dataset *dataset, int64_t sample) {
  int64_t position = 0;
  const pl_shard *shard = find(dataset, sample, &position);
  if (!shard->text_first) return 0;
  return (int)(shard->text_first[position + 1] - shard->text_first[position]);
}

size_t pl_dataset_caption_bytes(const pl_dataset *dataset, int64_t sample, int index) {
  int64_t position = 0;
  const pl_shard *shard = find(dataset, sample, &position);
  const int64_t *offset = &shard->text_offset[shard->text_first[position] + index];
  return (size_t)(offset[1] - offset[0]);
}

pl_status pl_dataset_check_captioned(const pl_dataset *dataset) {
  for (int s = 0; s < dataset->opened; s++) {
    const pl_shard *shard = &dataset->shard[s];
    for (int64_t i = 0; i < shard->samples; i++) {
      if (shard->text_first && shard->text_first[i + 1] > shard->text_first[i]) continue;
      return PL_FAIL(PL_E_DATA, "%s, sample %lld (id %lld) has no caption", shard->path,
                     (long long)i, (long long)shard->id[i]);
    }
  }
  return PL_OK;
}

pl_status pl_dataset_read_caption(const pl_dataset *dataset, int64_t sample, int index, char *text,
                                  size_t capacity) {
  int64_t position = 0;
  const pl_shard *shard = find(dataset, sample, &position);
  if (index < 0 || index >= pl_dataset_caption_count(dataset, sample) || capacity == 0) {
    return PL_FAIL(PL_E_USAGE, "sample %lld has no caption %d", (long long)sample, index);
  }
  return pl_shard_read_caption(shard, position, index, text, capacity);
}

pl_status pl_dataset_verify_shard(const pl_dataset *dataset, int shard) {
  return pl_shard_verify(&dataset->shard[shard], &dataset->manifest->shards[shard], NULL, NULL);
}
