/* What tests of the CUDA backend begin with. */
#ifndef TESTS_UNIT_CUDA_TEST_H
#define TESTS_UNIT_CUDA_TEST_H

#include <stdbool.h>
#include <stddef.h>

/* Opens the first device; false, with a word, where there is none (ctest: the test is skipped). A
 * device that can't be opened ends the program. */
enum { CUDA_TEST_SKIPPED = 77 };
bool cuda_test_open(void);

/* Memory of the device with these values, which device->release gives back; NULL: zeros. */
void *cuda_test_place(const void *values, size_t bytes);
/* Copies such memory to the host and gives it back. */
void cuda_test_take(void *values, void *there, size_t bytes);

#endif
