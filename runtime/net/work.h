/* How much arithmetic an operation is, whoever computes it: the figures that rates are told by. */
#ifndef PL_NET_WORK_H
#define PL_NET_WORK_H

#include "runtime/net/backend.h"

/* Floating point operations on spec->rows rows, forward and backward; a multiply-add counts two.
 * Products are exact, but for causal attention, which is counted whole as is usual; other
 * operations are counted by what an element takes. */
typedef struct pl_work {
  double forward, backward;
} pl_work;

pl_work pl_work_of(const pl_kernel_spec *spec);

#endif
