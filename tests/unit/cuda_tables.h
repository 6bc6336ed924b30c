/* The setups of all operations that the CUDA backend has. */
#ifndef TESTS_UNIT_CUDA_TABLES_H
#define TESTS_UNIT_CUDA_TABLES_H

#include "tests/unit/op_setups.h"

extern const op_table *const cuda_tables[];
extern const size_t cuda_table_count;

#endif
