/* Parameters and hashes out of slices. Both are one value or one run of bytes for each block of the
 * space, gathered bucket by bucket: a bucket's pieces lie one after another in rank order. */
#include "comm/link.h"
#include "comm/reduce.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"
#include "runtime/tensor/image.h"

/* Where a block's bytes start in the gathered vector; defined for one past the last block. */
typedef size_t (*block_place)(const pl_space *space, int64_t block);

/* Exchanges under way, one a bucket. */
typedef struct bucket_gather {
  pl_comm *comm;
  const pl_space *space;
  block_place place;
  char *vector;
  bool by_link;         /* the vector is memory of the device, and gathered there */
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

/* Where a rank's piece of a bucket starts in the vector, and how long it is. */
static size_t piece_of(const bucket_gather *gather, int bucket, int rank, size_t *bytes) {
  int64_t first, count;
  pl_space_bucket_part(gather->space, bucket, pl_comm_size(gather->comm), rank, &first, &count);
  size_t start = gather->place(gather->space, first);
  *bytes = gather->place(gather->space, first + count) - start;
  return start;
}

/* Starts gathering a bucket whose own piece is in its place in the vector. */
static pl_status start_bucket(bucket_gather *gather, int bucket) {
  const char *own = NULL;
  for (int k = 0; k < pl_comm_size(gather->comm); k++) {
    size_t start = piece_of(gather, bucket, k, &gather->bytes[k]);
    if (k == pl_comm_rank(gather->comm)) own = gather->vector + start;
  }
  int64_t first = pl_space_bucket(gather->space, bucket)->first_block;
  char *all = gather->vector + gather->place(gather->space, first);
  if (gather->by_link) return pl_link_allgather(gather->comm, own, all, gather->bytes);
  return pl_comm_start_allgather(gather->comm, own, all, gather->bytes, &gather->request[bucket]);
}

static pl_status wait_for_buckets(bucket_gather *gather) {
  if (gather->by_link) return pl_link_await(gather->comm);
  for (int b = 0; b < pl_space_buckets(gather->space); b++) {
    PL_TRY(pl_comm_wait(gather->comm, &gather->request[b]));
  }
  return PL_OK;
}

size_t pl_image_gather_sent_bytes(const pl_space *space, const pl_slice *slice) {
  size_t own = 0;
  for (int b = 0; b < pl_space_buckets(space); b++) {
    int64_t first, count;
    pl_space_bucket_part(space, b, slice->ranks, slice->rank, &first, &count);
    own += pl_space_block_offset(space, first + count) - pl_space_block_offset(space, first);
  }
  return own * (size_t)(slice->ranks - 1);
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

/* ---- the compute image ---- */

struct pl_image_gather {
  pl_comm *comm;
  const pl_device *device;
  const pl_space *space;
  const pl_slice *slice;
  pl_image_map *map;
  bool by_link;
  char *pinned;      /* (image bytes) on the host; NULL where nothing goes by it */
  uint64_t *tickets; /* (buckets): this rank's pieces on their way there */
};

static pl_status set_up(pl_image_gather *gather) {
  void *pinned = NULL;
  PL_TRY(pl_image_map_create(gather->device, gather->space, gather->slice, &gather->map));
  gather->tickets = pl_alloc((size_t)pl_space_buckets(gather->space), sizeof *gather->tickets);
  if (!gather->tickets) return PL_E_INTERNAL;
  if (gather->device->is_host || gather->slice->ranks == 1) return PL_OK;
  gather->by_link = pl_link_is_open(gather->comm);
  if (gather->by_link) return PL_OK;
  PL_TRY(gather->device->alloc_host(pl_space_image_bytes(gather->space), &pinned));
  gather->pinned = pinned;
  return PL_OK;
}

pl_status pl_image_gather_create(pl_comm *comm, const pl_device *device, const pl_space *space,
                                 const pl_slice *slice, pl_image_gather **out) {
  pl_image_gather *gather = pl_alloc(1, sizeof *gather);
  if (!gather) return PL_E_INTERNAL;
  *gather = (pl_image_gather){.comm = comm, .device = device, .space = space, .slice = slice};
  pl_status status = set_up(gather);
  if (status != PL_OK) pl_image_gather_destroy(&gather);
  *out = gather;
  return status;
}

void pl_image_gather_destroy(pl_image_gather **gather) {
  pl_image_gather *g = *gather;
  if (!g) return;
  g->device->release_host(g->pinned);
  pl_free(g->tickets);
  pl_image_map_destroy(&g->map);
  pl_free(g);
  *gather = NULL;
}

/* Each bucket goes as soon as it is converted. */
static pl_status gather_in_place(pl_image_gather *g, bucket_gather *buckets, const float *master) {
  for (int b = 0; b < pl_space_buckets(g->space); b++) {
    PL_TRY(pl_image_write(g->map, b, master, buckets->vector));
    PL_TRY(start_bucket(buckets, b));
    PL_TRY(pl_comm_progress(g->comm));
  }
  return wait_for_buckets(buckets);
}

/* This rank's pieces are fetched, exchanged in pinned memory, and everybody's put in place. */
static pl_status gather_by_host(pl_image_gather *g, bucket_gather *buckets, const float *master,
                                char *image) {
  int count = pl_space_buckets(g->space), rank = g->slice->rank;
  for (int b = 0; b < count; b++) {
    size_t bytes, start = piece_of(buckets, b, rank, &bytes);
    PL_TRY(pl_image_write(g->map, b, master, image));
    PL_TRY(g->device->start_get(g->pinned + start, image + start, bytes, &g->tickets[b]));
  }
  for (int b = 0; b < count; b++) {
    PL_TRY(g->device->await_get(g->tickets[b]));
    PL_TRY(start_bucket(buckets, b));
    PL_TRY(pl_comm_progress(g->comm));
  }
  for (int b = 0; b < count; b++) {
    const pl_bucket *bucket = pl_space_bucket(g->space, b);
    size_t start = pl_space_block_offset(g->space, bucket->first_block);
    size_t end = pl_space_block_offset(g->space, bucket->first_block + bucket->blocks);
    PL_TRY(pl_comm_wait(g->comm, &buckets->request[b]));
    PL_TRY(g->device->put_pinned(image + start, g->pinned + start, end - start));
  }
  return PL_OK;
}

pl_status pl_image_gather_run(pl_image_gather *gather, const float *master, void *image) {
  if (gather->slice->ranks == 1) return pl_image_write_all(gather->map, master, image);
  pl_status status;
  bucket_gather buckets = {.comm = gather->comm,
                           .space = gather->space,
                           .place = pl_space_block_offset,
                           .by_link = gather->by_link,
                           .vector = gather->pinned ? gather->pinned : image};
  PL_TRY_OR(done, status, open_gather(&buckets));
  status = gather->pinned ? gather_by_host(gather, &buckets, master, image)
                          : gather_in_place(gather, &buckets, master);
done:
  close_gather(&buckets);
  return status;
}
