/* A training run: everything that a step needs, and the step. */
#ifndef LAUNCH_TRAINER_H
#define LAUNCH_TRAINER_H

#include "comm/comm.h"
#include "runtime/config/config.h"

/* Trains as `config` says, from its start to its end: start checks on the dataset, the run folder,
 * the loop, the final checkpoint. Gives the hash of the final state (32 hex digits and a zero).
 * Errors are agreed; one that strikes a single rank in the middle of a step ends all ranks from
 * here, as they could no longer meet. Collective. */
pl_status pl_train(pl_comm *comm, const pl_config *config, int threads, char state_hash[33]);

#endif
