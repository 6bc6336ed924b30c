/* A training run, from its start or its last checkpoint to its end. */
#ifndef LAUNCH_TRAIN_TRAINER_H
#define LAUNCH_TRAIN_TRAINER_H

#include "comm/comm.h"
#include "runtime/config/config.h"
#include "runtime/store/checkpoint.h"

/* Trains as `config` says: start checks on the dataset and the run folder, the loop with its
 * checkpoints and judgements, the final checkpoint, pictures and report. Gives the hash of the
 * state saved last (32 hex digits and a zero). PL_E_STOPPED: the run was asked to stop, has saved,
 * and is to be started again. Errors are agreed; one that strikes a single rank in the middle of a
 * step ends all ranks from here, as they could no longer meet. Collective. */
pl_status pl_train(pl_comm *comm, const pl_config *config, int threads,
                   char state_hash[PL_CHECKPOINT_HASH]);

#endif
