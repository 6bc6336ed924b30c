/* plenum eval knn: judges an encoder by its nearest neighbours. */
#include <stdio.h>

#include "launch/command.h"
#include "launch/embed.h"
#include "launch/restore.h"
#include "launch/startup.h"
#include "models/knn.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

typedef struct request {
  const char *run, *bank, *queries; /* folders; NULL for those of the run's configuration */
  const char *const *overrides;
  int override_count;
  bool json;
} request;

typedef struct verdict {
  int64_t right, queries, bank;
  int classes;
} verdict;

/* A dataset's representations, unit rows. */
static pl_status represent(pl_comm *comm, pl_restored *run, const char *folder, const char *what,
                           int *classes, pl_representations *out) {
  pl_dataset *dataset = NULL;
  pl_status status = pl_startup_dataset(comm, folder, &dataset);
  if (status == PL_OK) {
    *classes = pl_dataset_get_info(dataset)->classes;
    if (*classes == 0) status = PL_FAIL(PL_E_DATA, "the dataset in %s has no labels", folder);
  }
  if (status == PL_OK) status = pl_embed(comm, &run->config, dataset, run->encoder, what, out);
  if (status == PL_OK) pl_representations_normalize(out);
  pl_dataset_close(&dataset);
  return status;
}

static pl_status judge(pl_comm *comm, pl_restored *run, const char *bank_folder,
                       const char *query_folder, verdict *v) {
  pl_representations bank = {0}, queries = {0};
  pl_status status = PL_OK;
  int query_classes = 0;
  PL_TRY_OR(done, status, represent(comm, run, bank_folder, "bank", &v->classes, &bank));
  PL_TRY_OR(done, status, represent(comm, run, query_folder, "queries", &query_classes, &queries));
  if (query_classes != v->classes) {
    status = PL_FAIL(PL_E_DATA, "%s has %d classes but %s has %d", bank_folder, v->classes,
                     query_folder, query_classes);
    goto done;
  }
  pl_knn_options options = {.width = bank.width,
                            .classes = v->classes,
                            .k = (int)run->config.eval.knn.k,
                            .temperature = run->config.eval.knn.temperature};
  pl_knn_rows bank_rows = {bank.values, bank.labels, bank.count};
  pl_knn_rows query_rows = {queries.values, queries.labels, queries.count};
  PL_TRY_OR(done, status,
            pl_knn_classify(comm, &options, &bank_rows, &query_rows, NULL, &v->right));
  double counts[2] = {(double)bank.count, (double)queries.count};
  PL_TRY_OR(done, status, pl_comm_sum_f64(comm, counts, 2));
  v->bank = (int64_t)counts[0];
  v->queries = (int64_t)counts[1];
done:
  pl_representations_free(&queries);
  pl_representations_free(&bank);
  return status;
}

static void print_verdict(const pl_restored *run, const verdict *v, bool json) {
  double accuracy = (double)v->right / (double)v->queries;
  long long k = run->config.eval.knn.k < v->bank ? run->config.eval.knn.k : v->bank;
  if (json) {
    printf(
        "{\"accuracy\":%.9g,\"right\":%lld,\"queries\":%lld,\"bank\":%lld,\"classes\":%d,"
        "\"k\":%lld,\"temperature\":%.9g,\"step\":%lld}\n",
        accuracy, (long long)v->right, (long long)v->queries, (long long)v->bank, v->classes, k,
        run->config.eval.knn.temperature, (long long)run->step);
  } else {
    printf(
        "knn accuracy %.2f%%: %lld of %lld right, bank of %lld, %d classes, k=%lld, T=%g, "
        "after step %lld\n",
        100 * accuracy, (long long)v->right, (long long)v->queries, (long long)v->bank, v->classes,
        k, run->config.eval.knn.temperature, (long long)run->step);
  }
}

static pl_status evaluate(pl_comm *comm, const request *r) {
  pl_restored run = {0};
  verdict v = {0};
  pl_status status = pl_restore(comm, r->run, r->overrides, r->override_count, &run);
  if (status == PL_OK) {
    pl_startup_threads(comm, run.config.run.threads);
    const char *bank = r->bank ? r->bank : run.config.data.train;
    const char *queries = r->queries ? r->queries : run.config.data.val;
    if (queries[0] == '\0') {
      status = PL_FAIL(PL_E_USAGE,
                       "the run names no data.val: say which images to judge by with "
                       "--data DIR");
    }
    if (status == PL_OK) status = judge(comm, &run, bank, queries, &v);
  }
  if (status == PL_OK && pl_comm_rank(comm) == 0) print_verdict(&run, &v, r->json);
  pl_restored_free(&run);
  return status;
}

static pl_status run_command(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  request r = {0};
  const pl_option table[] = {
      {.name = "data",
       .kind = PL_OPTION_TEXT,
       .value = &r.queries,
       .help = "dataset whose samples are classified; default: the run's data.val"},
      {.name = "bank",
       .kind = PL_OPTION_TEXT,
       .value = &r.bank,
       .help = "dataset whose labels vote; default: the run's data.train"},
      {.name = "json", .kind = PL_OPTION_FLAG, .value = &r.json, .help = "print a JSON object"},
      {0},
  };
  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  int count = 0;
  bool helped = false;
  pl_status status = operands ? PL_OK : PL_E_INTERNAL;
  if (status == PL_OK) {
    status = pl_options_parse(command, table, argc, argv, 1, -1, operands, &count, &helped);
  }
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) {
    r.run = operands[0];
    r.overrides = operands + 1;
    r.override_count = count - 1;
    status = evaluate(comm, &r);
  }
  pl_free(operands);
  return status;
}

const pl_command pl_cmd_eval_knn = {
    .name = "eval knn",
    .operands = "RUN_OR_CHECKPOINT [key=value ...]",
    .summary = "nearest-neighbour accuracy of a trained encoder",
    .run = run_command,
};
