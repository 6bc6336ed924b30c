/* What tests of the CUDA backend share. */
#ifndef TESTS_UNIT_CUDA_TABLES_H
#define TESTS_UNIT_CUDA_TABLES_H

#include "tests/unit/op_setups.h"

/* The setups of all operations that the backend has. */
extern const op_table *const cuda_tables[];
extern const size_t cuda_table_count;

/* Opens the first device; false, with a word, where there is none (ctest: the test is skipped). A
 * device that can't be opened ends the program. */
enum { CUDA_TEST_SKIPPED = 77 };
bool cuda_test_open(void);

#endif
