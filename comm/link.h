/* Exchanges between the ranks' devices that do not pass through the memory of hosts: by NCCL
 * (comm/nccl), in which the ranks find each other through comm.
 *
 * A link moves bytes and never adds while it moves. NCCL's own sums (ncclAllReduce,
 * ncclReduceScatter) add in an order that depends on the number of ranks and on how their devices
 * are wired; Plenum promises the same bits whatever these are. So pieces are exchanged as they are,
 * and who owns them adds them up in the shape of the tree over ranks: pl_link_tree_sum.
 *
 * A link has a queue of its own beside the device's. What it is given is done in the order of the
 * calls, once all is done that was queued on the device before the call, and beside what is queued
 * there until pl_link_await. Calls return at once, and are not for recordings. Memory is the
 * device's, and until then neither changed nor given back. */
#ifndef COMM_LINK_H
#define COMM_LINK_H

#include "comm/comm.h"
#include "runtime/tensor/device.h"

typedef enum {
  PL_LINK_AUTO, /* a link where it can be had */
  PL_LINK_NCCL, /* or an error */
  PL_LINK_HOST  /* no link: everything by memory of the hosts */
} pl_link_choice;

/* Whether this program was built with NCCL. */
bool pl_link_built(void);

/* Links the devices that the ranks have open, for the rest of the process or until pl_link_close;
 * several ranks are needed. What was chosen and why is told by rank 0. With PL_LINK_NCCL,
 * PL_E_USAGE: not built with NCCL, no GPU, or two ranks share one, which NCCL does not allow;
 * PL_E_INTERNAL: NCCL does not start, in its own words. Errors are agreed. Collective. */
pl_status pl_link_open(pl_comm *comm, const pl_device *device, pl_link_choice choice);

/* Waits for what is under way and gives the link back; does nothing where there is none. The
 * devices must still be open. Collective. */
void pl_link_close(pl_comm *comm);

/* Gives pretended ranks a link, which plans may count on and nobody may use. */
void pl_link_pretend(pl_comm *comm);

bool pl_link_is_open(const pl_comm *comm);

/* Whether a call failed here: other ranks may wait for this one, and no agreement can be reached;
 * the caller ends with pl_comm_abort. */
bool pl_link_is_cut(const pl_comm *comm);

/* What goes to one rank, and what comes from it. */
typedef struct pl_link_piece {
  const void *send;
  void *recv;
  size_t send_bytes, recv_bytes;
} pl_link_piece;

/* Exchanges pieces: one for each rank, this one's own among them, which is copied unless it is in
 * its place. Collective; the sizes that two ranks name for a piece must match. */
pl_status pl_link_exchange(pl_comm *comm, const pl_link_piece *pieces);

/* As pl_comm_allgather. Collective. */
pl_status pl_link_allgather(pl_comm *comm, const void *send, void *recv, const size_t *bytes);

/* pieces[0][0..n) = sum of the ranks' pieces in the shape of the tree over ranks, as
 * pl_tree_sum_f32 adds them; the other pieces are scratch of it. Not collective. */
pl_status pl_link_tree_sum(pl_comm *comm, float *const *pieces, size_t n);

/* Waits until all that the link was given is done. The host does so itself, by asking now and then,
 * as NCCL tells of ranks that are lost only to those who ask: PL_E_INTERNAL, as where the device is
 * broken. Waits for ever where a rank does not come: that is the watchdog's. Not collective. */
pl_status pl_link_await(pl_comm *comm);

#endif
