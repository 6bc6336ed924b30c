/* Numbers over all ranks, in the order of the tree over ranks. */
#include <math.h>
#include <string.h>

#include "comm/backend.h"
#include "comm/comm.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"

/* Up to so many bytes of every rank go to all ranks, which then all add everything: one round of
 * messages. Above, each rank adds its part and hands it out: fewer bytes, two rounds. */
enum { SMALL_BYTES = 64 * 1024 };

static bool is_small(size_t n) { return n <= SMALL_BYTES / sizeof(double); }

static pl_status sum_small(pl_comm *comm, double *values, size_t n) {
  int size = comm->place.size;
  double *all = pl_comm_scratch(comm, (size_t)size * n * sizeof *all);
  if (!all) return PL_E_INTERNAL;
  PL_TRY(pl_comm_allgather_equal(comm, values, all, n * sizeof *all));
  pl_tree_sum_f64(values, all, size, n, n);
  return PL_OK;
}

/* Part `rank` of n elements starts here. */
static size_t part_start(size_t n, int size, int rank) {
  return n / (size_t)size * (size_t)rank +
         (n % (size_t)size < (size_t)rank ? n % (size_t)size : (size_t)rank);
}

static pl_status sum_parts(pl_comm *comm, double *values, size_t n, size_t *arrays) {
  int size = comm->place.size;
  int rank = comm->place.rank;
  size_t *send_bytes = arrays;
  size_t *send_offset = arrays + size;
  size_t *recv_bytes = arrays + 2 * size;
  size_t *recv_offset = arrays + 3 * size;
  size_t first = part_start(n, size, rank);
  size_t count = part_start(n, size, rank + 1) - first;
  for (int k = 0; k < size; k++) {
    send_offset[k] = part_start(n, size, k) * sizeof *values;
    send_bytes[k] = part_start(n, size, k + 1) * sizeof *values - send_offset[k];
    recv_bytes[k] = count * sizeof *values;
    recv_offset[k] = (size_t)k * recv_bytes[k];
  }
  double *pieces = pl_comm_scratch(comm, (size_t)size * count * sizeof *pieces);
  if (!pieces) return PL_E_INTERNAL;
  pl_request *request = NULL;
  PL_TRY(pl_comm_start_alltoall(comm, values, send_bytes, send_offset, pieces, recv_bytes,
                                recv_offset, &request));
  PL_TRY(pl_comm_wait(comm, &request));
  pl_tree_sum_f64(values + first, pieces, size, count, count);
  return pl_comm_allgather(comm, values + first, values, send_bytes);
}

static pl_status sum_large(pl_comm *comm, double *values, size_t n) {
  size_t *arrays = pl_alloc(4 * (size_t)comm->place.size, sizeof *arrays);
  if (!arrays) return PL_E_INTERNAL;
  pl_status status = sum_parts(comm, values, n, arrays);
  pl_free(arrays);
  return status;
}

pl_status pl_comm_sum_f64(pl_comm *comm, double *values, size_t n) {
  if (comm->place.size == 1 || n == 0) return PL_OK;
  const char *outer = pl_comm_enter(comm, "sum");
  return pl_comm_leave(comm, outer,
                       is_small(n) ? sum_small(comm, values, n) : sum_large(comm, values, n));
}

size_t pl_comm_sum_sent_bytes(const pl_comm *comm, size_t n) {
  size_t others = (size_t)comm->place.size - 1;
  if (others == 0) return 0;
  if (is_small(n)) return others * n * sizeof(double);
  size_t own = part_start(n, comm->place.size, comm->place.rank + 1) -
               part_start(n, comm->place.size, comm->place.rank);
  return (n - own + others * own) * sizeof(double);
}

static pl_status largest(pl_comm *comm, double *values, size_t n) {
  int size = comm->place.size;
  double *all = pl_comm_scratch(comm, (size_t)size * n * sizeof *all);
  if (!all) return PL_E_INTERNAL;
  PL_TRY(pl_comm_allgather_equal(comm, values, all, n * sizeof *all));
  memcpy(values, all, n * sizeof *values);
  for (int k = 1; k < size; k++) {
    const double *other = all + (size_t)k * n;
    for (size_t i = 0; i < n; i++) {
      if (other[i] > values[i] || isnan(other[i])) values[i] = other[i];
    }
  }
  return PL_OK;
}

pl_status pl_comm_max_f64(pl_comm *comm, double *values, size_t n) {
  if (comm->place.size == 1 || n == 0) return PL_OK;
  const char *outer = pl_comm_enter(comm, "maximum");
  return pl_comm_leave(comm, outer, largest(comm, values, n));
}
