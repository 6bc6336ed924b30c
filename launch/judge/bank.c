/* Judging by a bank of labelled samples: nearest neighbours, and a linear classifier. */
#include "launch/judge/embed.h"
#include "launch/judge/ways.h"
#include "models/knn.h"
#include "runtime/base/clock.h"

typedef struct judge {
  const pl_judge_setup *setup;
  pl_representations bank, queries;
  pl_representations views; /* of the bank, augmented, of the epoch under way */
  double embed_ms;
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
  PL_TRY(pl_embed_views(setup->comm, setup->config, setup->bank, setup->nets->encoder, &options,
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
  j->out->linear_ms = j->embed_ms + pl_now_ms() - start_ms;
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
  j->out->knn_ms = j->embed_ms + pl_now_ms() - start_ms;
  return PL_OK;
}

static pl_status embed_both(judge *j) {
  const pl_judge_setup *s = j->setup;
  pl_net *encoder = s->nets->encoder;
  double start_ms = pl_now_ms();
  PL_TRY(pl_embed(s->comm, s->config, s->bank, encoder, "embedding the bank", &j->bank));
  PL_TRY(pl_embed(s->comm, s->config, s->queries, encoder, "embedding the queries", &j->queries));
  j->embed_ms = pl_now_ms() - start_ms;
  return PL_OK;
}

pl_status pl_judge_by_bank(const pl_judge_setup *setup, unsigned ways, pl_judgement *out) {
  int64_t k = setup->config->eval.knn.k;
  out->bank = pl_dataset_get_info(setup->bank)->samples;
  out->k = k < out->bank ? k : out->bank;
  judge j = {.setup = setup, .out = out};
  pl_status status = embed_both(&j);
  if (status == PL_OK && (ways & PL_JUDGE_LINEAR)) status = judge_linear(&j);
  /* Last, since it scales the rows in place. */
  if (status == PL_OK && (ways & PL_JUDGE_KNN)) status = judge_knn(&j);
  pl_representations_free(&j.bank);
  pl_representations_free(&j.queries);
  pl_representations_free(&j.views);
  return status;
}
