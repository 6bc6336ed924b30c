#include "launch/judge.h"

#include "launch/embed.h"
#include "launch/startup.h"
#include "models/knn.h"
#include "runtime/base/clock.h"

/* ---- datasets ---- */

static pl_status open_labelled(pl_comm *comm, const char *folder, pl_dataset **out) {
  PL_TRY(pl_startup_dataset(comm, folder, out));
  if (pl_dataset_get_info(*out)->classes > 0) return PL_OK;
  return PL_FAIL(PL_E_DATA, "the dataset in %s has no labels", folder);
}

pl_status pl_judge_open(pl_comm *comm, const pl_config *config, const char *bank_folder,
                        const char *query_folder, pl_dataset **bank, pl_dataset **queries) {
  *bank = *queries = NULL;
  if (!bank_folder) bank_folder = config->data.train;
  if (!query_folder) query_folder = config->data.val;
  if (query_folder[0] == '\0')
    return PL_FAIL(PL_E_USAGE, "no data.val is set: it names the images to judge by");
  PL_TRY(open_labelled(comm, bank_folder, bank));
  PL_TRY(open_labelled(comm, query_folder, queries));
  int bank_classes = pl_dataset_get_info(*bank)->classes;
  int query_classes = pl_dataset_get_info(*queries)->classes;
  if (bank_classes == query_classes) return PL_OK;
  return PL_FAIL(PL_E_DATA, "%s has %d classes but %s has %d", bank_folder, bank_classes,
                 query_folder, query_classes);
}

/* ---- ways to judge ---- */

typedef struct judge {
  const pl_judge_setup *setup;
  pl_representations bank, queries;
  pl_representations views; /* of the bank, augmented, of the epoch under way */
  pl_judgement *out;
} judge;

static pl_knn_rows rows_of(const pl_representations *r) {
  return (pl_knn_rows){.features = r->values, .labels = r->labels, .count = r->count};
}

static pl_status embed_views(void *context, int64_t epoch, const float **features) {
  judge *j = context;
  const pl_judge_setup *setup = j->setup;
  const pl_embed_options options = {.random = true, .epoch = epoch};
  pl_representations_free(&j->views);
  PL_TRY(pl_embed_views(setup->comm, setup->config, setup->bank, setup->encoder, &options,
                        "embedding augmented views", &j->views));
  *features = j->views.values;
  return PL_OK;
}

static pl_linear_options linear_options(const pl_config *config, int width, int classes) {
  pl_linear_options options = {.width = width,
                               .classes = classes,
                               .rates = config->eval.linear.rates.count,
                               .epochs = config->eval.linear.epochs,
                               .batch = config->eval.linear.batch,
                               .momentum = config->eval.linear.momentum,
                               .weight_decay = config->eval.linear.weight_decay,
                               .holdout = config->eval.linear.holdout,
                               .seed = (uint64_t)config->run.seed};
  for (int i = 0; i < options.rates; i++) options.rate[i] = config->eval.linear.rates.value[i];
  return options;
}

static pl_status judge_linear(judge *j) {
  const pl_config *config = j->setup->config;
  const pl_linear_options options = linear_options(config, j->bank.width, j->out->classes);
  const pl_linear_views views = {.epoch = embed_views, .context = j};
  const pl_knn_rows bank = rows_of(&j->bank), queries = rows_of(&j->queries);
  double start_ms = pl_now_ms();
  PL_TRY(pl_linear_classify(j->setup->comm, &options, &bank,
                            config->eval.linear.augment ? &views : NULL, &queries, NULL,
                            &j->out->linear));
  j->out->linear_ms = pl_now_ms() - start_ms;
  j->out->linear_right = j->out->linear.right;
  return PL_OK;
}

static pl_status judge_knn(judge *j) {
  const pl_config *config = j->setup->config;
  pl_knn_options options = {.width = j->bank.width,
                            .classes = j->out->classes,
                            .k = (int)j->out->k,
                            .temperature = config->eval.knn.temperature};
  double start_ms = pl_now_ms();
  pl_representations_normalize(&j->bank);
  pl_representations_normalize(&j->queries);
  const pl_knn_rows bank = rows_of(&j->bank), queries = rows_of(&j->queries);
  PL_TRY(pl_knn_classify(j->setup->comm, &options, &bank, &queries, NULL, &j->out->knn_right));
  j->out->knn_ms = pl_now_ms() - start_ms;
  return PL_OK;
}

static pl_status embed_both(judge *j) {
  const pl_judge_setup *s = j->setup;
  double start_ms = pl_now_ms();
  PL_TRY(pl_embed(s->comm, s->config, s->bank, s->encoder, "embedding the bank", &j->bank));
  PL_TRY(
      pl_embed(s->comm, s->config, s->queries, s->encoder, "embedding the queries", &j->queries));
  j->out->embed_ms = pl_now_ms() - start_ms;
  return PL_OK;
}

pl_status pl_judge(const pl_judge_setup *setup, bool knn, bool linear, pl_judgement *out) {
  const pl_dataset_info *bank = pl_dataset_get_info(setup->bank);
  int64_t k = setup->config->eval.knn.k;
  *out = (pl_judgement){.bank = bank->samples,
                        .queries = pl_dataset_get_info(setup->queries)->samples,
                        .classes = bank->classes,
                        .k = k < bank->samples ? k : bank->samples,
                        .knn_right = -1,
                        .linear_right = -1};
  judge j = {.setup = setup, .out = out};
  pl_status status = embed_both(&j);
  if (status == PL_OK && linear) status = judge_linear(&j);
  /* Last, since it scales the rows in place. */
  if (status == PL_OK && knn) status = judge_knn(&j);
  pl_representations_free(&j.bank);
  pl_representations_free(&j.queries);
  pl_representations_free(&j.views);
  return status;
}
