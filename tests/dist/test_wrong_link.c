/* Two ranks that do not do the same with a link between emulated devices, as the argument says:
 * "sizes" that differ, or calls in another "order". Run by tests/dist/wrong_link: what is
 * wrong has to be told, and to end both. */
#include <string.h>

#include "comm/link.h"
#include "runtime/cuda/cuda.h"
#include "tests/dist/ranks.h"
#include "tests/emulation/runtime.h"

enum { RANKS = 2, BYTES = 4096 };

typedef struct rig {
  pl_comm *comm;
  char *memory; /* (RANKS, BYTES) of the device */
} rig;

static void exchange(const rig *r, size_t bytes) {
  pl_link_piece pieces[RANKS];
  for (int k = 0; k < RANKS; k++) {
    pieces[k] = (pl_link_piece){
        .send = r->memory, .recv = r->memory + BYTES, .send_bytes = bytes, .recv_bytes = bytes};
  }
  CHECK_OK(pl_link_exchange(r->comm, pieces));
}

static void gather(const rig *r) {
  const size_t bytes[RANKS] = {BYTES, BYTES};
  CHECK_OK(pl_link_allgather(r->comm, r->memory, r->memory, bytes));
}

static void do_wrong(const rig *r, const char *how) {
  bool first = pl_comm_rank(r->comm) == 0;
  if (strcmp(how, "sizes") == 0) {
    exchange(r, first ? BYTES : BYTES / 2);
  } else {
    if (first) gather(r);
    exchange(r, BYTES);
    if (!first) gather(r);
  }
}

int main(int argc, char **argv) {
  const emulated_host host = {.devices = RANKS, .driver = 13000, .major = 9, .minor = 0};
  rig r = {0};
  void *memory = NULL;
  if (argc != 2 || pl_comm_create(&argc, &argv, &r.comm) != PL_OK) return 1;
  emulated_host_is(&host);
  CHECK_OK(pl_cuda_open(pl_comm_rank(r.comm)));
  CHECK_OK(pl_link_open(r.comm, pl_cuda_backend()->device, PL_LINK_NCCL));
  CHECK_OK(pl_cuda_backend()->device->alloc((size_t)RANKS * BYTES, &memory));
  r.memory = memory;
  do_wrong(&r, argv[1]);
  CHECK_OK(pl_link_await(r.comm));
  return 0;
}
