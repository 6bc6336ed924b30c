/* Exchanges between devices, which are emulated: by memory of the hosts, and by a link. With work
 * of the devices done as late as it may be, and as early. */
#include <string.h>

#include "comm/link.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"
#include "runtime/cuda/cuda.h"
#include "tests/dist/exchanges.h"
#include "tests/dist/ranks.h"
#include "tests/emulation/runtime.h"

static void in_both_orders(pl_comm *comm, void (*check)(pl_comm *comm, const pl_device *device)) {
  for (int order = 0; order < 2; order++) {
    emulated_others_first(order == 1);
    check(comm, pl_cuda_backend()->device);
  }
  emulated_others_first(false);
}

static void gradients_are_those_of_hosts(void **state) {
  in_both_orders(*state, check_reduce_between);
}
static void images_are_those_of_hosts(void **state) { in_both_orders(*state, check_image_between); }

/* All ranks have opened the one device of a host. */
static void shared_gpus_are_not_linked(void **state) {
  pl_comm *comm = *state;
  const pl_device *device = pl_cuda_backend()->device;
  CHECK_OK(pl_link_open(comm, device, PL_LINK_AUTO));
  assert_false(pl_link_is_open(comm));
  if (pl_comm_size(comm) == 1) return;
  assert_int_equal(pl_link_open(comm, device, PL_LINK_NCCL), PL_E_USAGE);
  assert_non_null(strstr(pl_last_reason()->message, "ranks 0 and 1 share the GPU 0000:01:00.0"));
  assert_int_equal(pl_link_open(comm, &pl_host_device, PL_LINK_NCCL), PL_E_USAGE);
}

static void own_gpus_are_linked(void **state) {
  pl_comm *comm = *state;
  const emulated_host host = {
      .devices = pl_comm_size(comm), .driver = 13000, .major = 9, .minor = 0};
  emulated_host_is(&host);
  pl_cuda_close();
  CHECK_OK(pl_cuda_open(pl_comm_rank(comm)));
  CHECK_OK(pl_link_open(comm, pl_cuda_backend()->device, PL_LINK_HOST));
  assert_false(pl_link_is_open(comm));
  CHECK_OK(pl_link_open(comm, pl_cuda_backend()->device, PL_LINK_NCCL));
  assert_int_equal(pl_link_is_open(comm), pl_comm_size(comm) > 1);
}

enum { SUMMED = 1000, RANKS_MAX = 4 };

/* Another number for each rank and place, of any size. */
static float value_of(int rank, int place) {
  return (float)((rank * 7919 + place * 104729) % 1000003) * (place % 2 ? 1e-3F : 37.F);
}

/* Nothing of it passes through the host's memory. */
static void sums_are_those_of_the_tree(void **state) {
  pl_comm *comm = *state;
  const pl_device *device = pl_cuda_backend()->device;
  int ranks = pl_comm_size(comm), rank = pl_comm_rank(comm);
  if (ranks == 1) return;
  const size_t bytes = SUMMED * sizeof(float);
  float *all = pl_alloc((size_t)ranks, bytes), *sum = pl_alloc(SUMMED, sizeof *sum);
  float **pieces = pl_alloc((size_t)ranks, sizeof *pieces);
  size_t *sizes = pl_alloc((size_t)ranks, sizeof *sizes);
  void *there = NULL;
  assert_true(all && sum && pieces && sizes);
  CHECK_OK(device->alloc((size_t)ranks * bytes, &there));
  for (int k = 0; k < ranks; k++) {
    pieces[k] = (float *)there + (size_t)k * SUMMED;
    sizes[k] = bytes;
    for (int i = 0; i < SUMMED; i++) all[k * SUMMED + i] = value_of(k, i);
  }
  CHECK_OK(device->put(pieces[rank], all + rank * SUMMED, bytes));
  size_t copied = emulated_copied(), sent = pl_comm_sent_bytes(comm);
  CHECK_OK(pl_link_allgather(comm, pieces[rank], there, sizes));
  CHECK_OK(pl_link_tree_sum(comm, pieces, SUMMED));
  CHECK_OK(pl_link_await(comm));
  assert_int_equal(emulated_copied(), copied);
  assert_int_equal(pl_comm_sent_bytes(comm) - sent, (size_t)(ranks - 1) * bytes);
  CHECK_OK(device->get(sum, there, bytes));
  pl_tree_sum_f32(all, all, ranks, SUMMED, SUMMED);
  assert_memory_equal(sum, all, bytes);
  device->release(there);
  pl_free(all);
  pl_free(sum);
  pl_free((void *)pieces);
  pl_free(sizes);
}

/* What is said wrong is said in NCCL's words, and the link is of no more use. */
static void memory_of_the_host_is_refused(void **state) {
  pl_comm *comm = *state;
  size_t sizes[RANKS_MAX];
  char here[RANKS_MAX];
  if (pl_comm_size(comm) == 1) return;
  for (int k = 0; k < RANKS_MAX; k++) sizes[k] = 1;
  assert_int_equal(pl_link_allgather(comm, here, here, sizes), PL_E_INTERNAL);
  assert_non_null(strstr(pl_last_reason()->message, "NCCL says: invalid argument"));
  assert_int_equal(pl_link_allgather(comm, here, here, sizes), PL_E_INTERNAL);
  assert_non_null(strstr(pl_last_reason()->message, "was cut by an error"));
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_are_those_of_hosts),
      cmocka_unit_test(images_are_those_of_hosts),
      cmocka_unit_test(shared_gpus_are_not_linked),
      cmocka_unit_test(own_gpus_are_linked),
      cmocka_unit_test(gradients_are_those_of_hosts),
      cmocka_unit_test(images_are_those_of_hosts),
      cmocka_unit_test(sums_are_those_of_the_tree),
      cmocka_unit_test(memory_of_the_host_is_refused),
  };
  if (pl_cuda_open(0) != PL_OK) {
    fprintf(stderr, "%s\n", pl_last_reason()->message);
    return 1;
  }
  int failures = run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
  pl_cuda_close();
  return failures;
}
