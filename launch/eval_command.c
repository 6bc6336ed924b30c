#include "launch/eval_command.h"

#include "launch/startup.h"
#include "runtime/base/memory.h"

typedef struct request {
  const char *run, *bank, *queries; /* folders; NULL for those of the run's configuration */
  const char *const *overrides;
  int override_count;
  bool augment, json;
} request;

static pl_status judge_run(pl_comm *comm, const pl_eval_command *eval, const request *r,
                           pl_restored *run, pl_judgement *judgement) {
  pl_dataset *bank = NULL, *queries = NULL;
  pl_status status = PL_OK;
  PL_TRY_OR(done, status, pl_judge_open(comm, &run->config, r->bank, r->queries, &bank, &queries));
  const pl_judge_setup setup = {.comm = comm,
                                .config = &run->config,
                                .encoder = run->encoder,
                                .bank = bank,
                                .queries = queries};
  status = pl_judge(&setup, eval->knn, eval->linear, judgement);
done:
  pl_dataset_close(&queries);
  pl_dataset_close(&bank);
  return status;
}

static pl_status evaluate(pl_comm *comm, const pl_eval_command *eval, const request *r) {
  pl_restored run = {0};
  pl_judgement judgement;
  pl_status status = pl_restore(comm, r->run, r->overrides, r->override_count, &run);
  if (status == PL_OK) {
    pl_startup_threads(comm, run.config.run.threads);
    if (r->augment) run.config.eval.linear.augment = true;
    if (!r->queries && run.config.data.val[0] == '\0')
      status = PL_FAIL(PL_E_USAGE,
                       "the run names no data.val: say which images to judge by with "
                       "--data DIR");
  }
  if (status == PL_OK) status = judge_run(comm, eval, r, &run, &judgement);
  if (status == PL_OK && pl_comm_rank(comm) == 0) eval->print(&run, &judgement, r->json);
  pl_restored_free(&run);
  return status;
}

static pl_status parse(const pl_command *command, const pl_eval_command *eval, int argc,
                       char **argv, request *r, const char **operands, bool *helped) {
  pl_option table[] = {
      {.name = "data",
       .kind = PL_OPTION_TEXT,
       .value = &r->queries,
       .help = "dataset whose samples are classified; default: the run's data.val"},
      {.name = "bank",
       .kind = PL_OPTION_TEXT,
       .value = &r->bank,
       .help = "dataset whose labels teach; default: the run's data.train"},
      {.name = "json", .kind = PL_OPTION_FLAG, .value = &r->json, .help = "print a JSON object"},
      {0},
      {0},
  };
  const pl_option augment = {.name = "augment",
                             .kind = PL_OPTION_FLAG,
                             .value = &r->augment,
                             .help = "crops and flips, embedded anew each epoch"};
  if (eval->linear) table[sizeof table / sizeof *table - 2] = augment;
  int count = 0;
  PL_TRY(pl_options_parse(command, table, argc, argv, 1, -1, operands, &count, helped));
  r->run = operands[0];
  r->overrides = operands + 1;
  r->override_count = count - 1;
  return PL_OK;
}

pl_status pl_eval_command_run(pl_comm *comm, const pl_command *command, const pl_eval_command *eval,
                              int argc, char **argv) {
  request r = {0};
  bool helped = false;
  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  pl_status status = operands ? PL_OK : PL_E_INTERNAL;
  if (status == PL_OK) status = parse(command, eval, argc, argv, &r, operands, &helped);
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) status = evaluate(comm, eval, &r);
  pl_free(operands);
  return status;
}
