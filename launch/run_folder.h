/* The folder of a run: claimed at the start, holding run.yaml, metrics.jsonl, log.txt,
 * checkpoints/. */
#ifndef LAUNCH_RUN_FOLDER_H
#define LAUNCH_RUN_FOLDER_H

#include "comm/comm.h"
#include "runtime/config/config.h"

/* Creates the folder on rank 0 and writes run.yaml into it. A folder that holds something already
 * is refused with PL_E_USAGE unless run.overwrite is set; what an earlier run left there is then
 * removed, and nothing else is. Errors are agreed. Collective. */
pl_status pl_run_folder_claim(pl_comm *comm, const pl_config *config);

#endif
