/* A run's set-up without a run: what it would take is found out by taking it, in memory that is
 * counted and not touched (runtime/base/account.h). So a plan can't say anything but what the
 * set-up does. */
#ifndef LAUNCH_TRAIN_REHEARSAL_H
#define LAUNCH_TRAIN_REHEARSAL_H

#include "comm/comm.h"
#include "launch/plan/plan.h"
#include "runtime/config/config.h"

/* What a rank of `ranks` would hold that has as much to hold as any: everything that training and
 * judging reserve, and the program itself as this process has it. The networks are compiled; the
 * datasets must be there. Where run.device means a GPU, none needs to be. `here` is the process's
 * own handle: whether MPI runs in it. PL_E_USAGE where such a run would be refused. What
 * the context of a GPU that is open takes there is not counted: it has it. After a failure `out`
 * tells of the bytes until then. Not collective. */
pl_status pl_rehearse(const pl_comm *here, const pl_config *config, int ranks, pl_plan *out);

/* Ways to need less: the configurations near this one that would, each rehearsed. Not collective.
 */
pl_status pl_rehearse_choices(const pl_comm *here, const pl_config *config, const pl_plan *plan,
                              pl_plan_choices *out);

#endif
