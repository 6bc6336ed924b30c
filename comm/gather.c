/* Parameters and hashes out of slices. Both are one value or one run of bytes for each block of the
 * space, gathered bucket by bucket: a bucket's pieces lie one after another in rank order. */
#include "comm/reduce.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"

/* Where a block's bytes start in the gathered vector; defined for one past the last block. */
typedef size_t (*block_place)(const pl_space *space, int64_t block);

/* Exchanges under way, one a bucket. */
typedef struct bucket_gather {
  pl_comm *comm;
  const pl_space *space;
  block_place place;
  char *vector;
  size_t *bytes;        /* (ranks): scratch */
  pl_request **request; /* (buckets) */
} bucket_gather;

static pl_status open_gather(bucket_gather *gather) {
  gather->bytes = pl_alloc((size_t)pl_comm_size(gather->comm), sizeof *gather->bytes);
  gather->request = pl_alloc((size_t)pl_space_buckets(gather->space), sizeof(pl_request *));
  return gather->bytes && gather->request ? PL_OK : PL_E_INTERNAL;
}

static void close_gather(bucket_gather *gather) {
  pl_free(gather->bytes);
  pl_free((void *)gather->request);
}

/* Starts gathering a bucket whose own piece is in its place in the vector. */
static pl_status start_bucket(bucket_gather *gather, int bucket) {
  int ranks = pl_comm_size(gather->comm);
  const char *own = NULL;
  for (int k = 0; k < ranks; k++) {
    int64_t first, count;
    pl_space_bucket_part(gather->space, bucket, ranks, k, &first, &count);
    size_t start = gather->place(gather->space, first);
    gather->bytes[k] = gather->place(gather->space, first + count) - start;
    if (k == pl_comm_rank(gather->comm)) own = gather->vector + start;
  }
  int64_t first = pl_space_bucket(gather->space, bucket)->first_block;
  char *all = gather->vector + gather->place(gather->space, first);
  return pl_comm_start_allgather(gather->comm, own, all, gather->bytes, &gather->request[bucket]);
}

static pl_status wait_for_buckets(bucket_gather *gather) {
  for (int b = 0; b < pl_space_buckets(gather->space); b++) {
    PL_TRY(pl_comm_wait(gather->comm, &gather->request[b]));
  }
  return PL_OK;
}

pl_status pl_image_gather(pl_comm *comm, const pl_space *space, const pl_slice *slice,
                          const float *master, void *image) {
  pl_status status = PL_OK;
  bucket_gather gather = {
      .comm = comm, .space = space, .place = pl_space_block_offset, .vector = image};
  PL_TRY_OR(done, status, open_gather(&gather));
  for (int b = 0; b < pl_space_buckets(space); b++) {
    pl_slice_to_image(space, slice, b, master, image);
    PL_TRY_OR(done, status, start_bucket(&gather, b));
    PL_TRY_OR(done, status, pl_comm_progress(comm));
  }
  status = wait_for_buckets(&gather);
done:
  close_gather(&gather);
  return status;
}

static size_t hash_place(const pl_space *space, int64_t block) {
  (void)space;
  return (size_t)block * sizeof(pl_hash128);
}

pl_status pl_slice_hash(pl_comm *comm, const pl_space *space, const pl_slice *slice,
                        const float *values, uint64_t hash[2]) {
  pl_status status = PL_OK;
  size_t blocks = (size_t)pl_space_blocks(space);
  bucket_gather gather = {.comm = comm, .space = space, .place = hash_place};
  pl_hash128 *hashes = pl_alloc(blocks, sizeof *hashes);
  if (!hashes) return PL_E_INTERNAL;
  gather.vector = (char *)hashes;
  PL_TRY_OR(done, status, open_gather(&gather));
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < slice->blocks; i++) {
    hashes[slice->block[i]] = pl_hash(values + i * PL_BLOCK, PL_BLOCK * sizeof *values);
  }
  for (int b = 0; b < pl_space_buckets(space); b++) {
    PL_TRY_OR(done, status, start_bucket(&gather, b));
  }
  PL_TRY_OR(done, status, wait_for_buckets(&gather));
  pl_hash128 whole = pl_hash(hashes, blocks * sizeof *hashes);
  hash[0] = whole.low;
  hash[1] = whole.high;
done:
  close_gather(&gather);
  pl_free(hashes);
  return status;
}
