#include "launch/pack/pack.h"

#include <stdio.h>

#include "launch/pack/output.h"
#include "launch/pack/rounds.h"
#include "runtime/base/memory.h"

enum { SAMPLES_PER_ROUND = 64 };

typedef struct packer {
  const pl_source *source;
  pl_output output;
  int rank, ranks;
  int shards;
  int64_t *first;           /* (shards + 1): first sample of each */
  pl_shard_record *records; /* (ranks, shards_each): shard s is at (s % ranks, s / ranks) */
  int shards_each;
  int shard; /* being written by this rank, or next to be */
  int64_t sample;
  pl_shard_writer *writer;
} packer;

static int64_t stored_bytes(const pl_source *source, int64_t sample) {
  if (source->sizes) return source->sizes[sample];
  return (int64_t)source->shard.height * source->shard.width * 3;
}

/* Counts the shards, and with `first` also notes where each starts. */
static int cut_shards(const pl_source *source, int64_t shard_bytes, int64_t *first) {
  int shards = 0;
  int64_t bytes = 0;
  for (int64_t i = 0; i < source->samples; i++) {
    int64_t size = stored_bytes(source, i);
    if (i == 0 || bytes + size > shard_bytes) {
      if (first) first[shards] = i;
      shards++;
      bytes = 0;
    }
    bytes += size;
  }
  if (first) first[shards] = source->samples;
  return shards;
}

static pl_status prepare(packer *p, const pl_pack_options *options) {
  if (p->source->samples == 0) return PL_FAIL(PL_E_DATA, "there are no samples to pack");
  PL_TRY(pl_output_paths(options->out, &p->output));
  p->shards = cut_shards(p->source, options->shard_bytes, NULL);
  p->shards_each = (p->shards + p->ranks - 1) / p->ranks;
  p->first = pl_alloc((size_t)p->shards + 1, sizeof *p->first);
  p->records = pl_alloc((size_t)p->shards_each * (size_t)p->ranks, sizeof *p->records);
  if (!p->first || !p->records) return PL_E_INTERNAL;
  cut_shards(p->source, options->shard_bytes, p->first);
  p->shard = p->rank;
  if (p->shard < p->shards) p->sample = p->first[p->shard];
  return PL_OK;
}

static int64_t own_samples(const packer *p) {
  int64_t sum = 0;
  for (int s = p->rank; s < p->shards; s += p->ranks) sum += p->first[s + 1] - p->first[s];
  return sum;
}

static pl_status pack_sample(packer *p) {
  pl_sample sample = {0};
  if (!p->writer) {
    PL_TRY(pl_shard_writer_open(p->output.making, p->shard, &p->source->shard, &p->writer));
  }
  PL_TRY(p->source->read(p->source->context, p->sample, &sample));
  PL_TRY(pl_shard_writer_add(p->writer, &sample));
  p->sample++;
  if (p->sample < p->first[p->shard + 1]) return PL_OK;
  pl_shard_record *own = p->records + (size_t)p->rank * (size_t)p->shards_each;
  PL_TRY(pl_shard_writer_finish(&p->writer, &own[p->shard / p->ranks]));
  p->shard += p->ranks;
  if (p->shard < p->shards) p->sample = p->first[p->shard];
  return PL_OK;
}

static pl_status pack_round(void *context, int64_t first, int64_t count) {
  (void)first; /* the packer knows its place */
  for (int64_t i = 0; i < count; i++) PL_TRY(pack_sample(context));
  return PL_OK;
}

/* Puts the gathered records into the order of shards and writes the manifest over them. */
static pl_status write_manifest(const packer *p) {
  const pl_source *source = p->source;
  pl_shard_record *ordered = pl_alloc((size_t)p->shards, sizeof *ordered);
  if (!ordered) return PL_E_INTERNAL;
  for (int s = 0; s < p->shards; s++) {
    ordered[s] = p->records[(size_t)(s % p->ranks) * (size_t)p->shards_each + s / p->ranks];
  }
  pl_status status = pl_dataset_manifest_write(
      p->output.making, source->shard.captions ? "image-text" : "image", &source->shard, p->shards,
      ordered, source->classes, source->class_names);
  pl_free(ordered);
  return status;
}

static pl_status write_shards(pl_comm *comm, packer *p) {
  const pl_rounds rounds = {.doing = "packing",
                            .items = "images",
                            .own = own_samples(p),
                            .per_round = SAMPLES_PER_ROUND,
                            .work = pack_round,
                            .context = p};
  PL_TRY(pl_rounds_run(comm, &rounds));
  size_t own = (size_t)p->shards_each * sizeof *p->records;
  return pl_comm_allgather_equal(comm, (char *)p->records + (size_t)p->rank * own, p->records, own);
}

pl_status pl_pack(pl_comm *comm, const pl_source *source, const pl_pack_options *options) {
  packer p = {.source = source, .rank = pl_comm_rank(comm), .ranks = pl_comm_size(comm)};
  bool begun = false;
  pl_status status = PL_OK;
  PL_TRY_OR(done, status, pl_comm_agree(comm, prepare(&p, options)));
  if (p.rank == 0) status = pl_output_begin(&p.output, options->overwrite);
  PL_TRY_OR(done, status, pl_comm_agree(comm, status));
  begun = true;
  PL_TRY_OR(done, status, write_shards(comm, &p));
  if (p.rank == 0) {
    status = write_manifest(&p);
    if (status == PL_OK) status = pl_output_commit(&p.output);
  }
  status = pl_comm_agree(comm, status);
done:
  pl_shard_writer_discard(&p.writer);
  if (status != PL_OK && begun && p.rank == 0) pl_output_discard(&p.output);
  pl_free(p.records);
  pl_free(p.first);
  return status;
}

pl_status pl_pack_tell(const char *out) {
  pl_dataset *dataset = NULL;
  PL_TRY(pl_dataset_open(out, &dataset));
  const pl_dataset_info *info = pl_dataset_get_info(dataset);
  printf("%s: %lld images", out, (long long)info->samples);
  if (info->classes > 0) printf(" of %d classes", info->classes);
  if (info->captions > 0) printf(", %lld captions", (long long)info->captions);
  printf(", %s, %d shard%s, %.1f MB, dataset %s\n",
         info->storage == PL_IMAGE_PIXELS ? "pixels" : "encoded", info->shards,
         info->shards == 1 ? "" : "s", (double)info->bytes / 1e6, info->hash);
  pl_dataset_close(&dataset);
  return PL_OK;
}
