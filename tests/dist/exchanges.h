/* The two large exchanges of a step (comm/reduce.h) between devices, against those between hosts,
 * bit by bit. Values differ from rank to rank and from step to step, and what may be written over
 * is, as soon as it may. Collective. */
#ifndef TESTS_DIST_EXCHANGES_H
#define TESTS_DIST_EXCHANGES_H

#include "comm/comm.h"
#include "runtime/tensor/device.h"

void check_reduce_between(pl_comm *comm, const pl_device *device);
void check_image_between(pl_comm *comm, const pl_device *device);

#endif
