/* plenum eval knn: judges an encoder by its nearest neighbours. */
#include <stdio.h>

#include "launch/judge/eval_command.h"

static void print(const pl_restored *run, const pl_judgement *j, bool json) {
  double accuracy = (double)j->knn_right / (double)j->queries;
  if (json) {
    printf(
        "{\"accuracy\":%.9g,\"right\":%lld,\"queries\":%lld,\"bank\":%lld,\"classes\":%d,"
        "\"k\":%lld,\"temperature\":%.9g,\"step\":%lld}\n",
        accuracy, (long long)j->knn_right, (long long)j->queries, (long long)j->bank, j->classes,
        (long long)j->k, run->config.eval.knn.temperature, (long long)run->step);
  } else {
    printf(
        "knn accuracy %.2f%%: %lld of %lld right, bank of %lld, %d classes, k=%lld, T=%g, "
        "after step %lld\n",
        100 * accuracy, (long long)j->knn_right, (long long)j->queries, (long long)j->bank,
        j->classes, (long long)j->k, run->config.eval.knn.temperature, (long long)run->step);
  }
}

static pl_status run_command(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  const pl_eval_command eval = {.kind = PL_CFG_EVAL_KNN, .print = print};
  return pl_eval_command_run(comm, command, &eval, argc, argv);
}

const pl_command pl_cmd_eval_knn = {
    .name = "eval knn",
    .operands = "RUN_OR_CHECKPOINT [key=value ...]",
    .summary = "nearest-neighbour accuracy of a trained encoder",
    .run = run_command,
};
