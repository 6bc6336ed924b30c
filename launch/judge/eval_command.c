#include "launch/judge/eval_command.h"

#include <stdio.h>
#include <string.h>

#include "launch/startup.h"
#include "runtime/base/memory.h"

typedef struct request {
  const char *run, *bank, *queries; /* folders; NULL for those of the run's configuration */
  const char *templates;            /* file; NULL for that of the run's configuration */
  const char *const *overrides;
  int override_count;
  bool augment, json;
} request;

/* What options say stands above the run's configuration. */
static pl_status apply(const request *r, pl_config *config) {
  if (r->augment) config->eval.linear.augment = true;
  if (!r->queries && config->data.val[0] == '\0') {
    return PL_FAIL(PL_E_USAGE, "the run names no data.val: say what to judge by with --data DIR");
  }
  if (!r->templates) return PL_OK;
  if (strlen(r->templates) >= sizeof config->eval.templates) {
    return PL_FAIL(PL_E_USAGE, "the path given by --templates is longer than %zu bytes",
                   sizeof config->eval.templates - 1);
  }
  snprintf(config->eval.templates, sizeof config->eval.templates, "%s", r->templates);
  return PL_OK;
}

static pl_status compile(const pl_restored *run, unsigned ways, pl_judge_nets *nets) {
  PL_TRY(pl_judge_nets_compile(run->method, (int)run->config.eval.micro, ways, nets));
  return pl_judge_nets_load(nets, run->state.image, run->state.buffers);
}

static pl_status judge(pl_comm *comm, unsigned ways, const request *r, const pl_restored *run,
                       pl_judgement *judgement) {
  pl_judge_nets nets = {0};
  pl_dataset *bank = NULL, *queries = NULL;
  pl_status status;
  PL_TRY_OR(done, status, pl_comm_agree(comm, compile(run, ways, &nets)));
  PL_TRY_OR(done, status,
            pl_judge_open(comm, &run->config, ways, r->bank, r->queries, &bank, &queries));
  const pl_judge_setup setup = {.comm = comm,
                                .config = &run->config,
                                .nets = &nets,
                                .tokenizer = run->tokenizer,
                                .bank = bank,
                                .queries = queries};
  status = pl_judge(&setup, ways, judgement);
done:
  pl_dataset_close(&queries);
  pl_dataset_close(&bank);
  pl_judge_nets_free(&nets);
  return status;
}

static pl_status evaluate(pl_comm *comm, const pl_eval_command *eval, const request *r) {
  pl_restored run = {0};
  pl_judgement judgement;
  pl_status status;
  PL_TRY_OR(done, status, pl_restore(comm, r->run, r->overrides, r->override_count, &run));
  pl_startup_threads(comm, run.config.run.threads);
  PL_TRY_OR(done, status, pl_comm_agree(comm, apply(r, &run.config)));
  PL_TRY_OR(done, status, judge(comm, 1U << eval->kind, r, &run, &judgement));
  if (pl_comm_rank(comm) == 0) eval->print(&run, &judgement, r->json);
done:
  pl_restored_free(&run);
  return status;
}

/* The options of one way of judging. */
static void list_options(pl_cfg_eval kind, request *r, pl_option table[]) {
  int count = 0;
  table[count++] = (pl_option){.name = "data",
                               .kind = PL_OPTION_TEXT,
                               .value = &r->queries,
                               .help = "dataset to judge by; default: the run's data.val"};
  if (kind == PL_CFG_EVAL_KNN || kind == PL_CFG_EVAL_LINEAR) {
    table[count++] =
        (pl_option){.name = "bank",
                    .kind = PL_OPTION_TEXT,
                    .value = &r->bank,
                    .help = "dataset whose labels teach; default: the run's data.train"};
  }
  if (kind == PL_CFG_EVAL_LINEAR) {
    table[count++] = (pl_option){.name = "augment",
                                 .kind = PL_OPTION_FLAG,
                                 .value = &r->augment,
                                 .help = "crops and flips, embedded anew each epoch"};
  }
  if (kind == PL_CFG_EVAL_ZEROSHOT) {
    table[count++] = (pl_option){.name = "templates",
                                 .kind = PL_OPTION_TEXT,
                                 .value = &r->templates,
                                 .help =
                                     "file of one template a line, with a {} for the class's "
                                     "name; default: the run's eval.templates"};
  }
  table[count] = (pl_option){
      .name = "json", .kind = PL_OPTION_FLAG, .value = &r->json, .help = "print a JSON object"};
}

static pl_status parse(const pl_command *command, pl_cfg_eval kind, int argc, char **argv,
                       request *r, const char **operands, bool *helped) {
  enum { MOST_OPTIONS = 8 };
  pl_option table[MOST_OPTIONS + 1] = {{0}};
  int count = 0;
  list_options(kind, r, table);
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
  if (status == PL_OK) status = parse(command, eval->kind, argc, argv, &r, operands, &helped);
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) status = evaluate(comm, eval, &r);
  pl_free(operands);
  return status;
}
