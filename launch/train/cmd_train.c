/* plenum train: the whole of a run. */
#include <stdio.h>

#include "launch/command.h"
#include "launch/startup.h"
#include "launch/train/trainer.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

static pl_status run(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  const pl_option table[] = {{0}};
  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  int count = 0;
  bool helped = false;
  pl_config *config = pl_alloc(1, sizeof *config);
  pl_status status = operands && config ? PL_OK : PL_E_INTERNAL;
  if (status == PL_OK) {
    status = pl_options_parse(command, table, argc, argv, 1, -1, operands, &count, &helped);
  }
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) status = pl_startup_config(comm, operands, count, config);
  if (status == PL_OK && !helped) {
    char hash[PL_CHECKPOINT_HASH];
    status = pl_train(comm, config, pl_startup_threads(comm, config->run.threads), hash);
    if (status == PL_OK || status == PL_E_STOPPED) printf("state %s\n", hash);
    if (status == PL_OK && pl_comm_rank(comm) == 0) PL_INFO("run saved in %s", config->run.dir);
  }
  pl_free(config);
  pl_free(operands);
  return status;
}

const pl_command pl_cmd_train = {
    .name = "train",
    .operands = "CONFIG|RUN [key=value ...]",
    .summary = "train as a configuration says, or go on with a run",
    .run = run,
};
