/* Exchanges between GPUs by NCCL itself. Skipped where there is no GPU; where ranks share one, NCCL
 * has to be told that they do not (tests/dist/own_host). */
#include "comm/link.h"
#include "runtime/cuda/cuda.h"
#include "tests/dist/exchanges.h"
#include "tests/dist/ranks.h"

static void gpus_are_linked(void **state) {
  pl_comm *comm = *state;
  CHECK_OK(pl_cuda_open(pl_comm_local_rank(comm) % pl_cuda_devices()));
  CHECK_OK(pl_link_open(comm, pl_cuda_backend()->device, PL_LINK_NCCL));
  assert_int_equal(pl_link_is_open(comm), pl_comm_size(comm) > 1);
}

static void gradients_are_those_of_hosts(void **state) {
  check_reduce_between(*state, pl_cuda_backend()->device);
}

static void images_are_those_of_hosts(void **state) {
  check_image_between(*state, pl_cuda_backend()->device);
}

static void link_is_given_back(void **state) {
  pl_link_close(*state);
  assert_false(pl_link_is_open(*state));
  pl_cuda_close();
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gpus_are_linked),
      cmocka_unit_test(gradients_are_those_of_hosts),
      cmocka_unit_test(images_are_those_of_hosts),
      cmocka_unit_test(link_is_given_back),
  };
  if (pl_cuda_devices() == 0) {
    fprintf(stderr, "skipped: no GPU\n");
    return 77;
  }
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
