/* Judging the encoder during training. It draws no numbers that training draws and moves nothing
 * that training uses, so it does not change the trajectory. */
#include <math.h>

#include "launch/training.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"

static bool averaged(const pl_training *t) {
  return t->config->eval.weights == PL_CFG_WEIGHTS_AVERAGE;
}

pl_status pl_training_judge_prepare(pl_training *t) {
  if (t->config->eval.every.amount == 0) return PL_OK;
  return pl_judge_open(t->comm, t->config, NULL, NULL, &t->bank, &t->queries);
}

static pl_status compile_encoder(pl_training *t) {
  if (t->encoder) return PL_OK;
  PL_TRY(
      pl_method_compile_part(t->method, PL_PART_ENCODER, (int)t->config->eval.micro, &t->encoder));
  if (!averaged(t)) return PL_OK;
  t->average_image = pl_alloc(pl_space_image_bytes(t->state.space), 1);
  return t->average_image ? PL_OK : PL_E_INTERNAL;
}

pl_status pl_training_load_encoder(pl_training *t) {
  const pl_state *s = &t->state;
  PL_TRY(pl_comm_agree(t->comm, compile_encoder(t)));
  if (averaged(t)) {
    PL_TRY(pl_image_gather(t->comm, s->space, s->slice, s->average, t->average_image));
  }
  return pl_comm_agree(t->comm, pl_net_load(t->encoder, averaged(t) ? t->average_image : s->image,
                                            averaged(t) ? s->average_buffers : s->buffers));
}

/* The untrained state and the last one are judged, too, to be compared with. */
bool pl_training_judge_due(const pl_training *t) {
  int64_t step = t->state.step;
  if (t->config->eval.every.amount == 0 || t->judged_step == step) return false;
  return step == 0 || step == t->lengths.steps ||
         pl_duration_due(t->config->eval.every, &t->lengths, step);
}

static void tell(pl_training *t, const pl_judgement *j) {
  pl_eval_line line = {.step = t->state.step,
                       .epoch = (double)t->state.step / t->lengths.steps_per_epoch,
                       .queries = j->queries,
                       .rate = NAN};
  if (j->knn_right >= 0) {
    line.kind = "knn";
    line.right = j->knn_right;
    line.ms = j->embed_ms + j->knn_ms;
    pl_metrics_eval(t->metrics, &line);
  }
  if (j->linear_right >= 0) {
    line.kind = "linear";
    line.right = j->linear_right;
    line.rate = j->linear.rate;
    line.ms = j->embed_ms + j->linear_ms;
    pl_metrics_eval(t->metrics, &line);
  }
}

pl_status pl_training_judge(pl_training *t, double *value) {
  double start = pl_now_ms();
  int64_t kind = t->config->eval.kind, best = t->config->checkpoint.best;
  pl_judgement j;
  *value = NAN;
  PL_TRY(pl_training_load_encoder(t));
  pl_judge_setup setup = {.comm = t->comm,
                          .config = t->config,
                          .encoder = t->encoder,
                          .bank = t->bank,
                          .queries = t->queries};
  PL_TRY(pl_judge(&setup, kind != PL_CFG_EVAL_LINEAR, kind != PL_CFG_EVAL_KNN, &j));
  tell(t, &j);
  t->judged_step = t->state.step;
  double queries = (double)j.queries, ms = pl_now_ms() - start;
  if (best == PL_CFG_BEST_KNN) *value = (double)j.knn_right / queries;
  if (best == PL_CFG_BEST_LINEAR) *value = (double)j.linear_right / queries;
  if (ms > t->longest_judging_ms) t->longest_judging_ms = ms;
  return PL_OK;
}
