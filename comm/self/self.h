/* The backend of a process alone: rank 0 of 1. */
#ifndef COMM_SELF_SELF_H
#define COMM_SELF_SELF_H

#include "comm/backend.h"

extern const pl_backend pl_self_backend; /* its state is NULL */

#endif
