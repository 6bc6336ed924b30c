/* What operations of any backend have to hold beyond being near the naive ones. */
#ifndef TESTS_UNIT_OP_PROPERTIES_H
#define TESTS_UNIT_OP_PROPERTIES_H

#include "runtime/net/backend.h"

/* From the smallest to the largest numbers, within rounding of the double value: relative to it
 * where it is not tiny, and never the wrong side of zero by more than that. */
void op_check_gelu(const pl_backend *backend);

/* A causal query sees nothing behind it: what stands there changes no bit of its output. */
void op_check_causal(const pl_backend *backend);

#endif
