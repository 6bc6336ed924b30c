/* Gradients into slices. */
#include "comm/reduce.h"

#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"

enum { BLOCK_BYTES = PL_BLOCK * (int)sizeof(float) };

/* One bucket of the running step. */
typedef struct bucket_state {
  int missing;         /* parameters that are not complete yet */
  float *received;     /* (ranks, blocks of this rank's piece, PL_BLOCK), inside pl_grad_reduce */
  pl_request *request; /* NULL before its start and after its end */
} bucket_state;

struct pl_grad_reduce {
  pl_comm *comm;
  const pl_space *space;
  const pl_slice *slice;
  bucket_state *bucket;  /* (buckets) */
  bool *complete;        /* (parameters) of the running step */
  float *received;       /* (ranks, slice->blocks, PL_BLOCK), bucket after bucket: together about
                            one more gradient vector; NULL for one rank */
  size_t *arrays;        /* (4, ranks): sizes and offsets of an exchange while it is started */
  int started;           /* buckets */
  const float *gradient; /* the vector of the running step; NULL before its first parameter */
  double wait_ms;
  size_t sent_bytes; /* of every step: the cut does not change */
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
  reduce->started = 0;
  reduce->gradient = NULL;
}

static pl_status allocate(pl_grad_reduce *reduce) {
  const pl_space *space = reduce->space;
  size_t ranks = (size_t)reduce->slice->ranks;
  reduce->bucket = pl_alloc((size_t)pl_space_buckets(space), sizeof *reduce->bucket);
  reduce->complete = pl_alloc((size_t)pl_space_params(space), sizeof *reduce->complete);
  reduce->arrays = pl_alloc(4 * ranks, sizeof *reduce->arrays);
  if (!reduce->bucket || !reduce->complete || !reduce->arrays) return PL_E_INTERNAL;
  if (ranks == 1) return PL_OK;
  reduce->received = pl_alloc(ranks * (size_t)reduce->slice->blocks, BLOCK_BYTES);
  return reduce->received ? PL_OK : PL_E_INTERNAL;
}

pl_status pl_grad_reduce_create(pl_comm *comm, const pl_space *space, const pl_slice *slice,
                                pl_grad_reduce **out) {
  if (slice->ranks != pl_comm_size(comm) || slice->rank != pl_comm_rank(comm)) {
    return PL_FAIL(PL_E_INTERNAL, "the slice is that of rank %d of %d, not of rank %d of %d",
                   slice->rank, slice->ranks, pl_comm_rank(comm), pl_comm_size(comm));
  }
  pl_grad_reduce *reduce = pl_alloc(1, sizeof *reduce);
  if (!reduce) return PL_E_INTERNAL;
  reduce->comm = comm;
  reduce->space = space;
  reduce->slice = slice;
  pl_status status = allocate(reduce);
  if (status != PL_OK) {
    pl_grad_reduce_destroy(&reduce);
    return status;
  }
  if (slice->ranks > 1) {
    for (int b = 0; b < pl_space_buckets(space); b++) {
      size_t offset = (size_t)slice->ranks * (size_t)slice->bucket_offset[b];
      reduce->bucket[b].received = reduce->received + offset * PL_BLOCK;
    }
    reduce->sent_bytes = (size_t)(pl_space_blocks(space) - slice->blocks) * BLOCK_BYTES;
  }
  reset(reduce);
  *out = reduce;
  return PL_OK;
}

void pl_grad_reduce_destroy(pl_grad_reduce **reduce) {
  if (!*reduce) return;
  pl_free((*reduce)->bucket);
  pl_free((*reduce)->complete);
  pl_free((*reduce)->received);
  pl_free((*reduce)->arrays);
  pl_free(*reduce);
  *reduce = NULL;
}

/* Starts the exchange of a complete bucket: every rank's piece straight from the gradient vector.
 */
static pl_status start_bucket(pl_grad_reduce *reduce, int b) {
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
  return pl_comm_start_alltoall(reduce->comm, reduce->gradient, send_bytes, send_offset,
                                reduce->bucket[b].received, recv_bytes, recv_offset,
                                &reduce->bucket[b].request);
}

pl_status pl_grad_reduce_ready(pl_grad_reduce *reduce, const float *gradient, int param) {
  const pl_param *p = pl_space_param(reduce->space, param);
  if (reduce->complete[param]) {
    return PL_FAIL(PL_E_INTERNAL, "the gradient of \"%s\" was completed twice", p->name);
  }
  if (reduce->gradient && reduce->gradient != gradient) {
    return PL_FAIL(PL_E_INTERNAL, "the gradient of \"%s\" lies in another vector", p->name);
  }
  reduce->gradient = gradient;
  reduce->complete[param] = true;
  if (--reduce->bucket[p->bucket].missing == 0) {
    reduce->started++;
    if (reduce->slice->ranks > 1) PL_TRY(start_bucket(reduce, p->bucket));
  }
  return pl_comm_progress(reduce->comm);
}

static pl_status check_complete(const pl_grad_reduce *reduce) {
  if (reduce->started == pl_space_buckets(reduce->space)) return PL_OK;
  int param = 0;
  while (reduce->complete[param]) param++;
  return PL_FAIL(PL_E_INTERNAL, "the gradient of \"%s\" was not completed",
                 pl_space_param(reduce->space, param)->name);
}

/* Puts the sum over ranks of this rank's piece of a bucket where it belongs in the slice. */
static pl_status finish_bucket(pl_grad_reduce *reduce, int b, float *slice_gradient) {
  const pl_slice *slice = reduce->slice;
  size_t elements = (size_t)piece_blocks(slice, b) * PL_BLOCK;
  float *to = slice_gradient + slice->bucket_offset[b] * PL_BLOCK;
  if (slice->ranks == 1) {
    const float *from =
        reduce->gradient + pl_space_bucket(reduce->space, b)->first_block * PL_BLOCK;
    memcpy(to, from, elements * sizeof *to);
    return PL_OK;
  }
  double start = pl_now_ms();
  PL_TRY(pl_comm_wait(reduce->comm, &reduce->bucket[b].request));
  reduce->wait_ms += pl_now_ms() - start;
  pl_tree_sum_f32(to, reduce->bucket[b].received, slice->ranks, elements, elements);
  return PL_OK;
}

pl_status pl_grad_reduce_finish(pl_grad_reduce *reduce, float *slice_gradient) {
  PL_TRY(check_complete(reduce));
  reduce->wait_ms = 0;
  /* Backward completes the last parameters first: their buckets have been under way longest. */
  for (int b = pl_space_buckets(reduce->space) - 1; b >= 0; b--) {
    PL_TRY(finish_bucket(reduce, b, slice_gradient));
  }
  reset(reduce);
  return PL_OK;
}

double pl_grad_reduce_wait_ms(const pl_grad_reduce *reduce) { return reduce->wait_ms; }
size_t pl_grad_reduce_sent_bytes(const pl_grad_reduce *reduce) { return reduce->sent_bytes; }
