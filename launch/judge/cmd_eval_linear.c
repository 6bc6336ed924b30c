/* plenum eval linear: judges an encoder by a linear classifier on its frozen features. */
#include <math.h>
#include <stdio.h>

#include "launch/json.h"
#include "launch/judge/eval_command.h"

static void print_json(const pl_restored *run, const pl_judgement *j) {
  const pl_linear_result *r = &j->linear;
  printf("{\"accuracy\":%.9g,\"right\":%lld,\"queries\":%lld,\"held_accuracy\":",
         (double)r->right / (double)r->queries, (long long)r->right, (long long)r->queries);
  pl_json_number(stdout, r->held > 0 ? (double)r->held_right / (double)r->held : NAN);
  printf(
      ",\"held_right\":%lld,\"held\":%lld,\"rate\":%.9g,\"epochs\":%.9g,\"augment\":%s,"
      "\"bank\":%lld,\"classes\":%d,\"step\":%lld}\n",
      (long long)r->held_right, (long long)r->held, r->rate, run->config.eval.linear.epochs,
      run->config.eval.linear.augment ? "true" : "false", (long long)j->bank, j->classes,
      (long long)run->step);
}

static void print_text(const pl_restored *run, const pl_judgement *j) {
  const pl_linear_result *r = &j->linear;
  printf("linear accuracy %.2f%%: %lld of %lld right, ",
         100.0 * (double)r->right / (double)r->queries, (long long)r->right, (long long)r->queries);
  if (r->held > 0)
    printf("%.2f%% of %lld held out, ", 100.0 * (double)r->held_right / (double)r->held,
           (long long)r->held);
  printf("rate %g, %g epochs of %lld%s, %d classes, after step %lld\n", r->rate,
         run->config.eval.linear.epochs, (long long)(j->bank - r->held),
         run->config.eval.linear.augment ? " augmented" : "", j->classes, (long long)run->step);
}

static void print(const pl_restored *run, const pl_judgement *j, bool json) {
  if (json)
    print_json(run, j);
  else
    print_text(run, j);
}

static pl_status run_command(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  const pl_eval_command eval = {.kind = PL_CFG_EVAL_LINEAR, .print = print};
  return pl_eval_command_run(comm, command, &eval, argc, argv);
}

const pl_command pl_cmd_eval_linear = {
    .name = "eval linear",
    .operands = "RUN_OR_CHECKPOINT [key=value ...]",
    .summary = "accuracy of a linear classifier on a trained encoder's features",
    .run = run_command,
};
