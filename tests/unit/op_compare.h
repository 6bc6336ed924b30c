/* What every operation of the processor backend has to pass, over tables of setups. */
#ifndef TESTS_UNIT_OP_COMPARE_H
#define TESTS_UNIT_OP_COMPARE_H

#include "tests/unit/op_fixture.h"

/* Forward and backward against the naive backend in f32, in bf16 where the processor can, and where
 * the operation `widens` from bf16 to f32. */
void op_compare_all(const op_setup *setups, size_t count, bool widens);

/* Runs `check` in f32, and in bf16 where the processor can. */
void op_for_both_types(const op_setup *setups, size_t count, void (*check)(const op_setup *));

/* The same bits on a second run with every input and output elsewhere and old values in scratch. */
void op_check_repeatable(const op_setup *setup);

/* The same bits with one thread and with three. */
void op_check_thread_counts(const op_setup *setup);

#endif
