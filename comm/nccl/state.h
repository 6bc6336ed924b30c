/* State of a link by NCCL, shared by its files. */
#ifndef COMM_NCCL_STATE_H
#define COMM_NCCL_STATE_H

#include <cuda_runtime_api.h>
#include <nccl.h>

#include "comm/link.h"

typedef struct pl_nccl {
  ncclComm_t comm; /* NULL once it was aborted */
  int rank, size;
  cudaStream_t stream;
  cudaEvent_t begin; /* where the device's work was when the last exchange was queued */
  cudaEvent_t end;   /* where that of the link was when it was last waited for */
} pl_nccl;

/* PL_OK for success, else PL_E_INTERNAL with NCCL's own words; then the communicator is aborted, so
 * that nothing waits for it. What NCCL goes on with in the background is waited for, for at most
 * limit_ms; 0: for ever. */
pl_status pl_nccl_settle(pl_nccl *n, const char *what, ncclResult_t result, double limit_ms);

/* An error where NCCL has noticed one in what is under way, as above. Does not wait. */
pl_status pl_nccl_check_health(pl_nccl *n);

/* Bodies of the table's entries; see comm/link.h. */
pl_status pl_nccl_exchange(void *state, const pl_link_piece *pieces);
pl_status pl_nccl_allgather(void *state, const void *send, void *recv, const size_t *bytes);
pl_status pl_nccl_tree_sum(void *state, float *const *pieces, size_t n);
pl_status pl_nccl_await(void *state);

#endif
