/* What every operation of a backend has to pass, over tables of setups. */
#ifndef TESTS_UNIT_OP_COMPARE_H
#define TESTS_UNIT_OP_COMPARE_H

#include "tests/unit/op_setups.h"

/* The backend that all below is about, and whether it has products of bf16. */
void op_compare_on(const pl_backend *backend, bool bf16_products);

/* Forward and backward against the naive backend, which sums in double, in f32, in bf16 where the
 * backend can, and from bf16 to f32 where the operation widens: as near as the roundings explain
 * that the types make unavoidable, and never as far as 1e-5 in f32 and 1e-2 in bf16. */
void op_compare_all(const op_table *table);

/* Runs `check` in f32, and in bf16 where the backend can. */
void op_for_both_types(const op_table *table, void (*check)(const op_setup *));

/* Forward, and backward where the setup has one; the caller closes the fixture. */
void op_run(op_fixture *f, const op_setup *setup);
/* Fails unless both gave the same bits; `when` is for the message. */
void op_check_same_bits(const op_fixture *a, const op_fixture *b, const char *when);

/* The same bits on a second run with every input and output elsewhere and old values in scratch. */
void op_check_repeatable(const op_setup *setup);

/* A kernel that says it can adds dx to what is there; others are passed over. */
void op_check_adding(const op_setup *setup);

/* The same bits with one thread and with three. */
void op_check_thread_counts(const op_setup *setup);

#endif
