/* plenum eval retrieval: judges a model of images and texts by finding one by the other. */
#include <stdio.h>

#include "launch/judge/eval_command.h"

static void print_recalls(const pl_retrieval_result *result, bool json) {
  for (int i = 0; i < PL_RECALLS; i++) {
    double recall = (double)result->found[i] / (double)result->queries;
    if (json) {
      printf("%s\"r%d\":%.9g", i ? "," : "", pl_recall_cut[i], recall);
    } else {
      printf("  R@%d %.2f%%", pl_recall_cut[i], 100 * recall);
    }
  }
}

static void print(const pl_restored *run, const pl_judgement *judgement, bool json) {
  const pl_retrieval_both *both = &judgement->retrieval;
  printf(json ? "{\"texts_for_images\":{" : "texts for images:");
  print_recalls(&both->texts_for_images, json);
  printf(json ? "},\"images_for_texts\":{" : "\nimages for texts:");
  print_recalls(&both->images_for_texts, json);
  printf(json ? "},\"images\":%lld,\"texts\":%lld,\"step\":%lld}\n"
              : "\n%lld images, %lld texts, after step %lld\n",
         (long long)both->texts_for_images.queries, (long long)both->images_for_texts.queries,
         (long long)run->step);
}

static pl_status run_command(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  const pl_eval_command eval = {.kind = PL_CFG_EVAL_RETRIEVAL, .print = print};
  return pl_eval_command_run(comm, command, &eval, argc, argv);
}

const pl_command pl_cmd_eval_retrieval = {
    .name = "eval retrieval",
    .operands = "RUN_OR_CHECKPOINT [key=value ...]",
    .summary = "captions found for images, and images for captions",
    .run = run_command,
};
