/* Slices of the parameter space: which blocks a rank owns, and what is computed block by block. */
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/tensor/space.h"

void pl_space_bucket_part(const pl_space *space, int bucket, int ranks, int rank,
                          int64_t *first_block, int64_t *count) {
  const pl_bucket *b = pl_space_bucket(space, bucket);
  int64_t first = b->blocks * rank / ranks;
  *first_block = b->first_block + first;
  *count = b->blocks * (rank + 1) / ranks - first;
}

pl_status pl_slice_create(const pl_space *space, int ranks, int rank, pl_slice **out) {
  pl_status status = PL_OK;
  int buckets = pl_space_buckets(space);
  pl_slice *slice = pl_alloc(1, sizeof *slice);
  if (!slice) return PL_E_INTERNAL;
  slice->ranks = ranks;
  slice->rank = rank;
  slice->bucket_offset = pl_alloc((size_t)buckets + 1, sizeof *slice->bucket_offset);
  if (!slice->bucket_offset) {
    status = PL_E_INTERNAL;
    goto done;
  }
  for (int i = 0; i < buckets; i++) {
    int64_t first, count;
    pl_space_bucket_part(space, i, ranks, rank, &first, &count);
    slice->bucket_offset[i + 1] = slice->bucket_offset[i] + count;
  }
  slice->blocks = slice->bucket_offset[buckets];
  slice->block = pl_alloc((size_t)slice->blocks, sizeof *slice->block);
  if (!slice->block) {
    status = PL_E_INTERNAL;
    goto done;
  }
  for (int i = 0; i < buckets; i++) {
    int64_t first, count;
    pl_space_bucket_part(space, i, ranks, rank, &first, &count);
    for (int64_t j = 0; j < count; j++) slice->block[slice->bucket_offset[i] + j] = first + j;
  }
  *out = slice;
  slice = NULL;
done:
  pl_slice_destroy(&slice);
  return status;
}

void pl_slice_destroy(pl_slice **slice) {
  if (!*slice) return;
  pl_free((*slice)->bucket_offset);
  pl_free((*slice)->block);
  pl_free(*slice);
  *slice = NULL;
}

/* Initial values of one block, which has a random stream of its own; padding is zero. */
static void init_block(const pl_space *space, int64_t block, uint64_t seed, float *values) {
  int index = pl_space_block_param(space, block);
  const pl_param *param = pl_space_param(space, index);
  int64_t in_param = block - param->first_block;
  int64_t left = param->count - in_param * PL_BLOCK;
  int64_t n = left < PL_BLOCK ? left : PL_BLOCK;
  float scale = param->init.scale;
  pl_random random = pl_random_stream(seed, PL_RANDOM_INIT, (uint32_t)index, (uint64_t)in_param, 0);
  memset(values, 0, PL_BLOCK * sizeof *values);
  switch (param->init.kind) {
    case PL_INIT_CONSTANT:
      for (int64_t i = 0; i < n; i++) values[i] = scale;
      break;
    case PL_INIT_NORMAL:
      for (int64_t i = 0; i < n; i++) values[i] = scale * pl_random_normal(&random);
      break;
    case PL_INIT_UNIFORM:
      for (int64_t i = 0; i < n; i++) values[i] = pl_random_range(&random, -scale, scale);
      break;
  }
}

void pl_slice_init_params(const pl_space *space, const pl_slice *slice, uint64_t seed,
                          float *master) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < slice->blocks; i++) {
    init_block(space, slice->block[i], seed, master + i * PL_BLOCK);
  }
}
