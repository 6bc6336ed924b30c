/* What tests of the CUDA backend begin with. */
#ifndef TESTS_UNIT_CUDA_TEST_H
#define TESTS_UNIT_CUDA_TEST_H

#include <stdbool.h>

/* Opens the first device; false, with a word, where there is none (ctest: the test is skipped). A
 * device that can't be opened ends the program. */
enum { CUDA_TEST_SKIPPED = 77 };
bool cuda_test_open(void);

#endif
