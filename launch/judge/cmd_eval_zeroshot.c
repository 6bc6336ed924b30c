/* plenum eval zeroshot: judges a model of images and texts by the names of classes. */
#include <stdio.h>

#include "launch/judge/eval_command.h"

static void print(const pl_restored *run, const pl_judgement *judgement, bool json) {
  const pl_zeroshot *z = &judgement->zeroshot;
  double top1 = (double)z->right1 / (double)z->samples;
  double top5 = (double)z->right5 / (double)z->samples;
  if (json) {
    printf(
        "{\"top1\":%.9g,\"top5\":%.9g,\"right1\":%lld,\"right5\":%lld,\"samples\":%lld,"
        "\"classes\":%lld,\"templates\":%d,\"step\":%lld}\n",
        top1, top5, (long long)z->right1, (long long)z->right5, (long long)z->samples,
        (long long)z->classes, z->templates, (long long)run->step);
  } else {
    printf(
        "zero-shot accuracy %.2f%%, top five %.2f%%: %lld images, %lld classes, %d templates, "
        "after step %lld\n",
        100 * top1, 100 * top5, (long long)z->samples, (long long)z->classes, z->templates,
        (long long)run->step);
  }
}

static pl_status run_command(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  const pl_eval_command eval = {.kind = PL_CFG_EVAL_ZEROSHOT, .print = print};
  return pl_eval_command_run(comm, command, &eval, argc, argv);
}

const pl_command pl_cmd_eval_zeroshot = {
    .name = "eval zeroshot",
    .operands = "RUN_OR_CHECKPOINT [key=value ...]",
    .summary = "images classified by the names of classes",
    .run = run_command,
};
