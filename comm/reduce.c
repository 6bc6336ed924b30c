/* Gradients into slices. */
#include "comm/reduce.h"

#include <string.h>

#include "comm/link.h"
#include "runtime/base/account.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"

enum { BLOCK_BYTES = PL_BLOCK * (int)sizeof(float) };

/* Buckets that may be on their way from the device when another one is complete, before the oldest
 * of them is waited for: the device then has work left while its exchange is started. That is not
 * done whenever it has arrived, because exchanges between two ranks must start in the same order on
 * both, those of sums over ranks among them. */
enum { FETCHED_AHEAD = 2 };

/* One bucket of the running step. */
typedef struct bucket_state {
  int missing;     /* parameters that are not complete yet */
  uint64_t ticket; /* its way from the device */
  float *received; /* what came of this rank's piece, PL_BLOCK floats a block: on the host of all
                      ranks, by a link of all but rank 0; inside pl_grad_reduce */
  pl_request *request; /* NULL before its start and after its end */
} bucket_state;

struct pl_grad_reduce {
  pl_comm *comm;
  const pl_device *device;
  const pl_space *space;
  const pl_slice *slice;
  bucket_state *bucket;   /* (buckets) */
  bool *complete;         /* (parameters) of the running step */
  int *order;             /* (buckets): as they were completed */
  int completed, started; /* so many of them */
  float *gradient;        /* the vector of the running step; NULL before its first parameter */
  size_t *arrays;         /* (4, ranks): sizes and offsets of an exchange while it is started */
  pl_link_piece *pieces;  /* (ranks): the same of one by a link; NULL: none is used */
  float **addends;        /* (ranks): what the link then sums */
  double wait_ms;
  size_t sent_bytes; /* of every step: the cut does not change */

  /* NULL for one rank; those that are pinned also where the device is the host or has a link. */
  float *sent;     /* (elements), pinned: the gradient as it was fetched */
  float *received; /* of all buckets, one after another: (ranks, slice->blocks, PL_BLOCK) on the
                      host, together about one more gradient vector; by a link (ranks - 1, …) in
                      memory of the device, as rank 0's pieces go where the sum is made */
  float *sum;      /* (slice->blocks, PL_BLOCK) in memory of the device */
  float *host_sum; /* the same, pinned */
};

static int64_t piece_blocks(const pl_slice *slice, int bucket) {
  return slice->bucket_offset[bucket + 1] - slice->bucket_offset[bucket];
}

/* Makes ready for the next step. */
static void reset(pl_grad_reduce *reduce) {
  for (int b = 0; b < pl_space_buckets(reduce->space); b++) {
    reduce->bucket[b].missing = pl_space_bucket(reduce->space, b)->params;
  }
  memset(reduce->complete, 0, (size_t)pl_space_params(reduce->space) * sizeof *reduce->complete);
  reduce->completed = 0;
  reduce->started = 0;
  reduce->gradient = NULL;
}

static pl_status allocate_pinned(pl_grad_reduce *reduce) {
  void *memory = NULL;
  PL_TRY(reduce->device->alloc_host((size_t)pl_space_blocks(reduce->space) * BLOCK_BYTES, &memory));
  reduce->sent = memory;
  PL_TRY(reduce->device->alloc_host((size_t)reduce->slice->blocks * BLOCK_BYTES, &memory));
  reduce->host_sum = memory;
  return PL_OK;
}

static pl_status allocate_for_link(pl_grad_reduce *reduce) {
  size_t ranks = (size_t)reduce->slice->ranks;
  void *memory = NULL;
  reduce->pieces = pl_alloc(ranks, sizeof *reduce->pieces);
  reduce->addends = pl_alloc(ranks, sizeof *reduce->addends);
  if (!reduce->pieces || !reduce->addends) return PL_E_INTERNAL;
  PL_TRY(reduce->device->alloc((ranks - 1) * (size_t)reduce->slice->blocks * BLOCK_BYTES, &memory));
  reduce->received = memory;
  return PL_OK;
}

static pl_status allocate_for_host(pl_grad_reduce *reduce) {
  size_t ranks = (size_t)reduce->slice->ranks;
  reduce->received = pl_alloc(ranks * (size_t)reduce->slice->blocks, BLOCK_BYTES);
  if (!reduce->received) return PL_E_INTERNAL;
  return reduce->device->is_host ? PL_OK : allocate_pinned(reduce);
}

static pl_status allocate(pl_grad_reduce *reduce) {
  const pl_space *space = reduce->space;
  size_t ranks = (size_t)reduce->slice->ranks, buckets = (size_t)pl_space_buckets(space);
  void *sum = NULL;
  reduce->bucket = pl_alloc(buckets, sizeof *reduce->bucket);
  reduce->order = pl_alloc(buckets, sizeof *reduce->order);
  reduce->complete = pl_alloc((size_t)pl_space_params(space), sizeof *reduce->complete);
  reduce->arrays = pl_alloc(4 * ranks, sizeof *reduce->arrays);
  if (!reduce->bucket || !reduce->order || !reduce->complete || !reduce->arrays)
    return PL_E_INTERNAL;
  if (ranks == 1) return PL_OK;
  PL_TRY(reduce->device->alloc((size_t)reduce->slice->blocks * BLOCK_BYTES, &sum));
  reduce->sum = sum;
  bool by_link = !reduce->device->is_host && pl_link_is_open(reduce->comm);
  return by_link ? allocate_for_link(reduce) : allocate_for_host(reduce);
}

static void place_buckets(pl_grad_reduce *reduce) {
  size_t arriving = (size_t)reduce->slice->ranks - (reduce->pieces ? 1 : 0);
  for (int b = 0; b < pl_space_buckets(reduce->space); b++) {
    size_t offset = arriving * (size_t)reduce->slice->bucket_offset[b];
    reduce->bucket[b].received = reduce->received + offset * PL_BLOCK;
  }
}

pl_status pl_grad_reduce_create(pl_comm *comm, const pl_device *device, const pl_space *space,
                                const pl_slice *slice, pl_grad_reduce **out) {
  if (slice->ranks != pl_comm_size(comm) || slice->rank != pl_comm_rank(comm)) {
    return PL_FAIL(PL_E_INTERNAL, "the slice is that of rank %d of %d, not of rank %d of %d",
                   slice->rank, slice->ranks, pl_comm_rank(comm), pl_comm_size(comm));
  }
  PL_MEMORY_FOR(PL_MEMORY_GRADIENT_EXCHANGE);
  pl_grad_reduce *reduce = pl_alloc(1, sizeof *reduce);
  if (!reduce) return PL_E_INTERNAL;
  reduce->comm = comm;
  reduce->device = device;
  reduce->space = space;
  reduce->slice = slice;
  pl_status status = allocate(reduce);
  if (status != PL_OK) {
    pl_grad_reduce_destroy(&reduce);
    return status;
  }
  if (slice->ranks > 1) {
    place_buckets(reduce);
    reduce->sent_bytes = (size_t)(pl_space_blocks(space) - slice->blocks) * BLOCK_BYTES;
  }
  reset(reduce);
  *out = reduce;
  return PL_OK;
}

void pl_grad_reduce_destroy(pl_grad_reduce **reduce) {
  pl_grad_reduce *r = *reduce;
  if (!r) return;
  r->device->release_host(r->sent);
  r->device->release_host(r->host_sum);
  r->device->release(r->sum);
  if (r->pieces)
    r->device->release(r->received);
  else
    pl_free(r->received);
  pl_free((void *)r->addends);
  pl_free(r->pieces);
  pl_free(r->arrays);
  pl_free(r->complete);
  pl_free(r->order);
  pl_free(r->bucket);
  pl_free(r);
  *reduce = NULL;
}

/* Starts the exchange of the next bucket: every rank's piece straight from the gradient vector. */
static pl_status start_next(pl_grad_reduce *reduce) {
  int b = reduce->order[reduce->started++];
  const float *from = reduce->sent ? reduce->sent : reduce->gradient;
  int ranks = reduce->slice->ranks;
  size_t *send_bytes = reduce->arrays;
  size_t *send_offset = reduce->arrays + ranks;
  size_t *recv_bytes = reduce->arrays + 2 * ranks;
  size_t *recv_offset = reduce->arrays + 3 * ranks;
  for (int k = 0; k < ranks; k++) {
    int64_t first, count;
    pl_space_bucket_part(reduce->space, b, ranks, k, &first, &count);
    send_bytes[k] = (size_t)count * BLOCK_BYTES;
    send_offset[k] = (size_t)first * BLOCK_BYTES;
    recv_bytes[k] = (size_t)piece_blocks(reduce->slice, b) * BLOCK_BYTES;
    recv_offset[k] = (size_t)k * recv_bytes[k];
  }
  if (reduce->sent) PL_TRY(reduce->device->await_get(reduce->bucket[b].ticket));
  return pl_comm_start_alltoall(reduce->comm, from, send_bytes, send_offset,
                                reduce->bucket[b].received, recv_bytes, recv_offset,
                                &reduce->bucket[b].request);
}

/* A complete bucket goes from device to device, and is summed there as soon as all of it is here:
 * both beside the work that the device still has. */
static pl_status link_bucket(pl_grad_reduce *reduce, int b) {
  size_t elements = (size_t)piece_blocks(reduce->slice, b) * PL_BLOCK;
  float *sum = reduce->sum + reduce->slice->bucket_offset[b] * PL_BLOCK;
  for (int k = 0; k < reduce->slice->ranks; k++) {
    int64_t first, count;
    pl_space_bucket_part(reduce->space, b, reduce->slice->ranks, k, &first, &count);
    reduce->addends[k] = k == 0 ? sum : reduce->bucket[b].received + (size_t)(k - 1) * elements;
    reduce->pieces[k] = (pl_link_piece){.send = reduce->gradient + first * PL_BLOCK,
                                        .recv = reduce->addends[k],
                                        .send_bytes = (size_t)count * BLOCK_BYTES,
                                        .recv_bytes = elements * sizeof *sum};
  }
  PL_TRY(pl_link_exchange(reduce->comm, reduce->pieces));
  return pl_link_tree_sum(reduce->comm, reduce->addends, elements);
}

/* A complete bucket is exchanged at once, or once it and those before it have been fetched. */
static pl_status complete_bucket(pl_grad_reduce *reduce, int b) {
  reduce->order[reduce->completed++] = b;
  if (reduce->slice->ranks == 1) return PL_OK;
  if (reduce->pieces) return link_bucket(reduce, b);
  if (!reduce->sent) return start_next(reduce);
  const pl_bucket *bucket = pl_space_bucket(reduce->space, b);
  int64_t first = bucket->first_block * PL_BLOCK;
  PL_TRY(reduce->device->start_get(reduce->sent + first, reduce->gradient + first,
                                   (size_t)bucket->blocks * BLOCK_BYTES,
                                   &reduce->bucket[b].ticket));
  return reduce->completed - reduce->started > FETCHED_AHEAD ? start_next(reduce) : PL_OK;
}

pl_status pl_grad_reduce_ready(pl_grad_reduce *reduce, float *gradient, int param) {
  const pl_param *p = pl_space_param(reduce->space, param);
  if (reduce->complete[param]) {
    return PL_FAIL(PL_E_INTERNAL, "the gradient of \"%s\" was completed twice", p->name);
  }
  if (reduce->gradient && reduce->gradient != gradient) {
    return PL_FAIL(PL_E_INTERNAL, "the gradient of \"%s\" lies in another vector", p->name);
  }
  reduce->gradient = gradient;
  reduce->complete[param] = true;
  if (--reduce->bucket[p->bucket].missing == 0) PL_TRY(complete_bucket(reduce, p->bucket));
  return pl_comm_progress(reduce->comm);
}

static pl_status check_complete(const pl_grad_reduce *reduce) {
  if (reduce->completed == pl_space_buckets(reduce->space)) return PL_OK;
  int param = 0;
  while (reduce->complete[param]) param++;
  return PL_FAIL(PL_E_INTERNAL, "the gradient of \"%s\" was not completed",
                 pl_space_param(reduce->space, param)->name);
}

/* Puts the sum over ranks of this rank's piece of a bucket where it belongs in the slice. */
static pl_status finish_bucket(pl_grad_reduce *reduce, int b) {
  size_t first = (size_t)reduce->slice->bucket_offset[b] * PL_BLOCK;
  size_t elements = (size_t)piece_blocks(reduce->slice, b) * PL_BLOCK;
  float *sum = (reduce->host_sum ? reduce->host_sum : reduce->sum) + first;
  double start = pl_now_ms();
  PL_TRY(pl_comm_wait(reduce->comm, &reduce->bucket[b].request));
  reduce->wait_ms += pl_now_ms() - start;
  pl_tree_sum_f32(sum, reduce->bucket[b].received, reduce->slice->ranks, elements, elements);
  if (!reduce->host_sum) return PL_OK;
  return reduce->device->put_pinned(reduce->sum + first, sum, elements * sizeof *sum);
}

static pl_status finish_by_host(pl_grad_reduce *reduce) {
  double start = pl_now_ms();
  while (reduce->started < reduce->completed) PL_TRY(start_next(reduce));
  reduce->wait_ms += pl_now_ms() - start;
  /* Those completed first have been under way longest. */
  for (int i = 0; i < reduce->completed; i++) PL_TRY(finish_bucket(reduce, reduce->order[i]));
  return PL_OK;
}

/* What the host waits for here it soon would for the norm of the gradient. */
static pl_status finish_by_link(pl_grad_reduce *reduce) {
  double start = pl_now_ms();
  PL_TRY(pl_link_await(reduce->comm));
  reduce->wait_ms = pl_now_ms() - start;
  return PL_OK;
}

pl_status pl_grad_reduce_finish(pl_grad_reduce *reduce, float **slice_gradient) {
  PL_TRY(check_complete(reduce));
  reduce->wait_ms = 0;
  *slice_gradient = reduce->sum;
  if (reduce->slice->ranks == 1) {
    *slice_gradient = reduce->gradient; /* whose blocks lie in the order of the slice's */
  } else {
    PL_TRY(reduce->pieces ? finish_by_link(reduce) : finish_by_host(reduce));
  }
  reset(reduce);
  return PL_OK;
}

double pl_grad_reduce_wait_ms(const pl_grad_reduce *reduce) { return reduce->wait_ms; }
size_t pl_grad_reduce_sent_bytes(const pl_grad_reduce *reduce) { return reduce->sent_bytes; }
