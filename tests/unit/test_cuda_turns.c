/* Device code, emulated: threads of a block that wait for each other where they must give the same
 * bits whoever of them goes first. */
#include "runtime/cuda/cuda.h"
#include "tests/check.h"
#include "tests/emulation/runtime.h"
#include "tests/unit/cuda_tables.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/op_compare.h"

static void check_turns(const op_setup *setup) {
  op_fixture forwards, backwards;
  op_run(&forwards, setup);
  emulated_turn_backwards(true);
  op_run(&backwards, setup);
  emulated_turn_backwards(false);
  op_check_same_bits(&forwards, &backwards, "when threads take turns from the last");
  op_fixture_close(&forwards);
  op_fixture_close(&backwards);
}

static void turns_of_threads_change_no_bit(void **state) {
  (void)state;
  for (size_t i = 0; i < cuda_table_count; i++) op_for_both_types(cuda_tables[i], check_turns);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(turns_of_threads_change_no_bit)};
  if (!cuda_test_open()) return 1;
  op_compare_on(pl_cuda_backend(), true);
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
