/* A naive backend: every operation as its formula reads, in loops with double accumulators, f32 and
 * bf16. It is what the real backends are compared with, and what the executor is tested on. */
#ifndef TESTS_UNIT_REFERENCE_BACKEND_H
#define TESTS_UNIT_REFERENCE_BACKEND_H

#include "runtime/net/backend.h"

const pl_backend *pl_reference_backend(void);

#endif
