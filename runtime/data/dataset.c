#include "runtime/data/dataset.h"

#include "runtime/base/memory.h"
#include "runtime/data/shard.h"

struct pl_dataset {
  pl_dataset_manifest *manifest;
  pl_shard *shard; /* (info.shards) */
  int opened;      /* how many of them are open */
  int64_t *first;  /* (info.shards + 1): first sample of each shard */
};

static pl_status open_shards(pl_dataset *d) {
  const pl_dataset_manifest *m = d->manifest;
  for (int s = 0; s < m->info.shards; s++) {
    PL_TRY(pl_shard_open(m, s, &d->shard[s]));
    d->opened = s + 1;
    d->first[s + 1] = d->first[s] + d->shard[s].samples;
    if (s > 0 && d->shard[s].id[0] <= d->shard[s - 1].id[d->shard[s - 1].samples - 1]) {
      return PL_FAIL(PL_E_DATA, "%s: /id does not ascend from the shard before", d->shard[s].path);
    }
  }
  return PL_OK;
}

pl_status pl_dataset_open(const char *folder, pl_dataset **out) {
  pl_status status = PL_OK;
  pl_dataset *d = pl_alloc(1, sizeof *d);
  *out = NULL;
  if (!d) return PL_E_INTERNAL;
  PL_TRY_OR(done, status, pl_dataset_manifest_read(folder, &d->manifest));
  d->shard = pl_alloc((size_t)d->manifest->info.shards, sizeof *d->shard);
  d->first = pl_alloc((size_t)d->manifest->info.shards + 1, sizeof *d->first);
  if (!d->shard || !d->first) {
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

void pl_dataset_locate(const pl_dataset *dataset, int64_t sample, int *shard, int64_t *position) {
  int low = 0;
  int high = dataset->opened;
  PL_INVARIANT(sample >= 0 && sample < dataset->manifest->info.samples);
  while (high - low > 1) {
    int middle = low + (high - low) / 2;
    if (dataset->first[middle] <= sample) {
      low = middle;
    } else {
      high = middle;
    }
  }
  *shard = low;
  *position = sample - dataset->first[low];
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
