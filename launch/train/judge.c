/* Judging the model during training. It draws no numbers that training draws and moves nothing
 * that training uses, so it does not change the trajectory. */
#include <math.h>

#include "launch/train/training.h"
#include "runtime/base/account.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"

static bool averaged(const pl_training *t) {
  return t->config->eval.weights == PL_CFG_WEIGHTS_AVERAGE;
}

pl_status pl_training_judge_prepare(pl_training *t) {
  PL_MEMORY_FOR(PL_MEMORY_JUDGING);
  if (t->config->eval.every.amount == 0) return PL_OK;
  return pl_judge_open(t->comm, t->config, pl_judge_ways(t->config), NULL, NULL, &t->bank,
                       &t->queries);
}

static pl_status compile_nets(pl_training *t, unsigned ways) {
  PL_TRY(pl_judge_nets_compile(t->method, (int)t->config->eval.micro, ways, &t->nets));
  if (!averaged(t) || t->average_image) return PL_OK;
  return t->state.device->alloc(pl_space_image_bytes(t->state.space), &t->average_image);
}

pl_status pl_training_load_nets(pl_training *t, unsigned ways) {
  PL_MEMORY_FOR(PL_MEMORY_JUDGING);
  const pl_state *s = &t->state;
  PL_TRY(pl_comm_agree(t->comm, compile_nets(t, ways)));
  if (pl_account_is_planning()) return PL_OK;
  if (averaged(t)) PL_TRY(pl_state_gather(s, s->average, t->average_image));
  return pl_comm_agree(t->comm,
                       pl_judge_nets_load(&t->nets, averaged(t) ? t->average_image : s->image,
                                          averaged(t) ? s->average_buffers : s->buffers));
}

/* The untrained state and the last one are judged, too, to be compared with. */
bool pl_training_judge_due(const pl_training *t) {
  int64_t step = t->state.step;
  if (t->config->eval.every.amount == 0 || t->judged_step == step) return false;
  return step == 0 || step == t->lengths.steps ||
         pl_duration_due(t->config->eval.every, &t->lengths, step);
}

/* A line of judgement without figures. */
static pl_eval_line line_of(const pl_training *t, const char *kind, int64_t queries, double ms) {
  return (pl_eval_line){.step = t->state.step,
                        .epoch = (double)t->state.step / t->lengths.steps_per_epoch,
                        .kind = kind,
                        .queries = queries,
                        .right = -1,
                        .right5 = -1,
                        .right10 = -1,
                        .rate = NAN,
                        .ms = ms};
}

static void tell_recalls(const pl_training *t, const char *kind, const pl_retrieval_result *result,
                         double ms) {
  pl_eval_line line = line_of(t, kind, result->queries, ms);
  line.right = result->found[0];
  line.right5 = result->found[1];
  line.right10 = result->found[2];
  pl_metrics_eval(t->metrics, &line);
}

static void tell(const pl_training *t, const pl_judgement *j) {
  if (j->ways & PL_JUDGE_KNN) {
    pl_eval_line line = line_of(t, "knn", j->queries, j->knn_ms);
    line.right = j->knn_right;
    pl_metrics_eval(t->metrics, &line);
  }
  if (j->ways & PL_JUDGE_LINEAR) {
    pl_eval_line line = line_of(t, "linear", j->queries, j->linear_ms);
    line.right = j->linear.right;
    line.rate = j->linear.rate;
    pl_metrics_eval(t->metrics, &line);
  }
  if (j->ways & PL_JUDGE_ZEROSHOT) {
    pl_eval_line line = line_of(t, "zeroshot", j->zeroshot.samples, j->zeroshot_ms);
    line.right = j->zeroshot.right1;
    line.right5 = j->zeroshot.right5;
    pl_metrics_eval(t->metrics, &line);
  }
  if (j->ways & PL_JUDGE_RETRIEVAL) {
    const pl_retrieval_both *both = &j->retrieval;
    tell_recalls(t, "texts_for_images", &both->texts_for_images, j->retrieval_ms);
    tell_recalls(t, "images_for_texts", &both->images_for_texts, j->retrieval_ms);
  }
}

static double first(const pl_retrieval_result *result) {
  return (double)result->found[0] / (double)result->queries;
}

/* What checkpoint.best chooses by; NaN where that is nothing of this judgement. */
static double best_value(const pl_judgement *j, pl_cfg_best best) {
  switch (best) {
    case PL_CFG_BEST_KNN: return (double)j->knn_right / (double)j->queries;
    case PL_CFG_BEST_LINEAR: return (double)j->linear.right / (double)j->queries;
    case PL_CFG_BEST_ZEROSHOT: return (double)j->zeroshot.right1 / (double)j->zeroshot.samples;
    case PL_CFG_BEST_RETRIEVAL:
      return (first(&j->retrieval.texts_for_images) + first(&j->retrieval.images_for_texts)) / 2;
    case PL_CFG_BEST_NONE:
    case PL_CFG_BEST_LOSS: break;
  }
  return NAN;
}

pl_status pl_training_judge(pl_training *t, double *value) {
  PL_MEMORY_FOR(PL_MEMORY_JUDGING);
  double start = pl_now_ms();
  unsigned ways = pl_judge_ways(t->config);
  pl_judgement j;
  *value = NAN;
  PL_TRY(pl_training_load_nets(t, ways));
  pl_judge_setup setup = {.comm = t->comm,
                          .config = t->config,
                          .nets = &t->nets,
                          .tokenizer = t->tokenizer,
                          .bank = t->bank,
                          .queries = t->queries};
  PL_TRY(pl_judge(&setup, ways, &j));
  if (pl_account_is_planning()) return PL_OK;
  tell(t, &j);
  t->judged_step = t->state.step;
  *value = best_value(&j, (pl_cfg_best)t->config->checkpoint.best);
  double ms = pl_now_ms() - start;
  if (ms > t->longest_judging_ms) t->longest_judging_ms = ms;
  return PL_OK;
}
