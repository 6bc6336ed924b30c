/* Finding a checkpoint that all ranks can read. The ranks share the work of verifying it and come
 * to one verdict. */
#ifndef LAUNCH_CHECKPOINTS_H
#define LAUNCH_CHECKPOINTS_H

#include "comm/comm.h"
#include "runtime/store/checkpoint.h"

/* The steps of the checkpoints in the folder `parent` as rank 0 sees it, newest first, for all:
 * other ranks may see the folder a moment later. The caller frees them (pl_free), also after an
 * error. Errors are agreed. Collective. */
pl_status pl_checkpoints_steps(pl_comm *comm, const char *parent, int64_t **steps, int *count);

/* The newest whole checkpoint in the folder `parent`; those passed over are named in the log with
 * the reason. *out is NULL where there is none at all; where there are some, but none is whole, the
 * error is PL_E_DATA. Errors are agreed. Collective. */
pl_status pl_checkpoints_newest(pl_comm *comm, const char *parent, pl_checkpoint **out);

/* The checkpoint in the folder `path`, or where `path` is a run's folder its newest whole one.
 * PL_E_DATA where there is none. Errors are agreed. Collective. */
pl_status pl_checkpoints_find(pl_comm *comm, const char *path, pl_checkpoint **out);

#endif
