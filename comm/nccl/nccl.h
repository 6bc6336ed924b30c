/* Links by NCCL, between ranks that have a GPU each.
 *
 * The communicator does not block: calls that NCCL goes on with in the background are asked after,
 * with a limit where nobody else would notice, so that a rank that is lost becomes an error and not
 * a hang. */
#ifndef COMM_NCCL_NCCL_H
#define COMM_NCCL_NCCL_H

#include "comm/backend.h"

/* NULL where this program was built without NCCL. */
const pl_link_backend *pl_nccl_link(void);

#endif
