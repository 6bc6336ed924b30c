/* Memory that is not there: told before a run takes any, or when it could not be had after all. */
#ifndef LAUNCH_TRAIN_SHORTAGE_H
#define LAUNCH_TRAIN_SHORTAGE_H

#include "comm/comm.h"
#include "launch/plan/plan.h"
#include "runtime/config/config.h"

/* Compares what the ranks will need (*plan) with what their hosts and GPUs have. A rank that would
 * need more than there is makes PL_E_USAGE, with what would do with less; more than is free is
 * warned of. The device is open. Errors are agreed. Collective. */
pl_status pl_shortage_foresee(pl_comm *comm, const pl_config *config, pl_plan *plan);

/* For the status that set-up ended with on all ranks, all its memory given back: where on some rank
 * it was for memory that could not be had, PL_E_INTERNAL with what was asked for, what is free,
 * what all of `plan` comes to and what would do with less; else `status` and its reason as they
 * are. Collective. */
pl_status pl_shortage_explain(pl_comm *comm, const pl_plan *plan, const pl_config *config,
                              pl_status status);

#endif
