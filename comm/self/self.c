#include "comm/self/self.h"

#include <string.h>

static void self_close(void *state) { (void)state; }

static void self_abort(void *state, int exit_code) {
  (void)state;
  (void)exit_code;
}

static pl_status self_barrier(void *state) {
  (void)state;
  return PL_OK;
}

static pl_status self_broadcast(void *state, void *data, size_t bytes, int root) {
  (void)state;
  (void)data;
  (void)bytes;
  (void)root;
  return PL_OK;
}

static pl_status self_allgather(void *state, const void *send, void *recv, const size_t *bytes) {
  (void)state;
  if (send != recv && bytes[0] > 0) memcpy(recv, send, bytes[0]);
  return PL_OK;
}

static pl_status self_start_allgather(void *state, const void *send, void *recv,
                                      const size_t *bytes, pl_request **out) {
  *out = NULL;
  return self_allgather(state, send, recv, bytes);
}

static pl_status self_start_alltoall(void *state, const void *send, const size_t *send_bytes,
                                     const size_t *send_offset, void *recv,
                                     const size_t *recv_bytes, const size_t *recv_offset,
                                     pl_request **out) {
  (void)state;
  *out = NULL;
  if (send_bytes[0] != recv_bytes[0]) {
    return PL_FAIL(PL_E_INTERNAL, "an exchange sends %zu bytes to its own rank, which expects %zu",
                   send_bytes[0], recv_bytes[0]);
  }
  if (send_bytes[0] > 0) {
    memcpy((char *)recv + recv_offset[0], (const char *)send + send_offset[0], send_bytes[0]);
  }
  return PL_OK;
}

static pl_status self_progress(void *state) {
  (void)state;
  return PL_OK;
}

/* Exchanges finish at once, so there is no request to wait for. */
static pl_status self_wait(void *state, pl_request **request) {
  (void)state;
  *request = NULL;
  return PL_OK;
}

const pl_backend pl_self_backend = {
    .name = "self",
    .close = self_close,
    .abort = self_abort,
    .barrier = self_barrier,
    .broadcast = self_broadcast,
    .allgather = self_allgather,
    .start_allgather = self_start_allgather,
    .start_alltoall = self_start_alltoall,
    .progress = self_progress,
    .wait = self_wait,
};
