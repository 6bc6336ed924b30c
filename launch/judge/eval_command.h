/* What the `plenum eval` commands have in common: options, the restored model, the datasets. */
#ifndef LAUNCH_JUDGE_EVAL_COMMAND_H
#define LAUNCH_JUDGE_EVAL_COMMAND_H

#include "launch/command.h"
#include "launch/judge/judge.h"
#include "launch/restore.h"

/* One way to judge, as a command. */
typedef struct pl_eval_command {
  pl_cfg_eval kind;
  /* Prints what was found to stdout. */
  void (*print)(const pl_restored *run, const pl_judgement *judgement, bool json);
} pl_eval_command;

/* The body of a pl_command. Collective. */
pl_status pl_eval_command_run(pl_comm *comm, const pl_command *command, const pl_eval_command *eval,
                              int argc, char **argv);

#endif
