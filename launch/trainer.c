#include "launch/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/reduce.h"
#include "launch/metrics.h"
#include "launch/run_folder.h"
#include "launch/settings.h"
#include "launch/startup.h"
#include "launch/state.h"
#include "models/method.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"
#include "runtime/data/loader.h"

/* A run on this rank. */
typedef struct trainer {
  pl_comm *comm;
  const pl_config *config;
  pl_dtype precision;
  pl_lengths lengths;
  pl_schedule schedule;
  int64_t first_leaf, leaves;
  pl_dataset *dataset;
  pl_method *method;
  pl_state state;
  pl_optim *optim;
  pl_gradsum *sums;
  pl_grad_reduce *reduce;
  float *gradient;       /* of the slice */
  float *buffers_before; /* running statistics before the step under way */
  pl_loader *loader;
  pl_metrics *metrics;
} trainer;

static void trainer_free(trainer *t) {
  pl_metrics_destroy(&t->metrics);
  pl_loader_destroy(&t->loader);
  pl_free(t->gradient);
  pl_free(t->buffers_before);
  pl_grad_reduce_destroy(&t->reduce);
  pl_gradsum_destroy(&t->sums);
  pl_optim_destroy(&t->optim);
  pl_method_destroy(&t->method);
  pl_state_free(&t->state);
  pl_dataset_close(&t->dataset);
}

static pl_status check_ranks(const pl_comm *comm, const pl_config *config) {
  int64_t leaves = config->batch.global / config->batch.micro;
  if (pl_comm_size(comm) > leaves) {
    return PL_FAIL(PL_E_USAGE,
                   "%d ranks but only %lld micro-batches (batch.global %lld / batch.micro %lld): "
                   "start at most %lld ranks, or make batch.micro smaller",
                   pl_comm_size(comm), (long long)leaves, (long long)config->batch.global,
                   (long long)config->batch.micro, (long long)leaves);
  }
  return PL_OK;
}

static pl_status on_gradient(void *context, int param) {
  trainer *t = context;
  return pl_grad_reduce_ready(t->reduce, pl_gradsum_total(t->sums), param);
}

/* Network, state and what moves it. Not collective up to the method's preparation. */
static pl_status build_state(trainer *t) {
  PL_TRY(pl_precision_setting(t->config, &t->precision));
  PL_TRY(pl_state_build(t->comm, t->config, t->precision, &t->state, &t->method));
  const pl_space *space = t->state.space;
  pl_optim_options options = pl_optim_settings(t->config);
  PL_TRY(pl_optim_create(space, t->state.slice, pl_comm_ranks(t->comm), &options, &t->optim));
  PL_TRY(pl_gradsum_create(space, t->leaves, &t->sums));
  PL_TRY(pl_grad_reduce_create(t->comm, space, t->state.slice, &t->reduce));
  pl_gradsum_on_done(t->sums, on_gradient, t);
  t->gradient = pl_alloc((size_t)t->state.slice->blocks * PL_BLOCK, sizeof *t->gradient);
  t->buffers_before = pl_alloc((size_t)pl_space_buffer_elements(space), sizeof *t->buffers_before);
  return t->gradient && t->buffers_before ? PL_OK : PL_E_INTERNAL;
}

static pl_status start_loader(trainer *t) {
  const pl_config *c = t->config;
  pl_loader_options options = {
      .dataset = t->dataset,
      .augment = pl_augment_settings(c),
      .random = true,
      .shuffle = true,
      .shuffle_block = c->data.shuffle_block,
      .shuffle_window = c->data.shuffle_window,
      .seed = (uint64_t)c->run.seed,
      .views = pl_method_views(t->method),
      .leaf_samples = (int)c->batch.micro,
      .batch = c->batch.global,
      .first_leaf = t->first_leaf,
      .leaves = t->leaves,
      .passes = c->batch.activations == PL_CFG_ACTIVATIONS_RECOMPUTE ? 2 : 1,
      .first_step = t->state.step,
      .steps = t->lengths.steps - t->state.step,
      .workers = pl_loader_workers_setting(c, pl_threads_count()),
      .skip_limit = c->data.skip_limit,
  };
  return pl_loader_create(&options, &t->loader);
}

static void log_plan(const trainer *t) {
  if (pl_comm_rank(t->comm) != 0) return;
  const pl_dataset_info *info = pl_dataset_get_info(t->dataset);
  pl_net_costs costs = pl_method_costs(t->method);
  PL_INFO("%lld samples in %d shards; %lld steps of %lld samples (%.2f epochs), %lld micro-batches",
          (long long)info->samples, info->shards, (long long)t->lengths.steps,
          (long long)t->lengths.batch, (double)t->lengths.steps / t->lengths.steps_per_epoch,
          (long long)(t->config->batch.global / t->config->batch.micro));
  PL_INFO(
      "%.2f M parameters, %s, %.1f GFLOP per sample and step; on rank 0 %.0f MB for activations "
      "and loss",
      (double)pl_space_trainable(t->state.space) / 1e6, pl_dtype_name(t->precision),
      (costs.forward_flops + costs.backward_flops) / (double)t->config->batch.micro / 1e9,
      (double)pl_method_bytes(t->method) / 1e6);
}

static pl_status prepare(trainer *t) {
  PL_TRY(pl_comm_agree(t->comm, check_ranks(t->comm, t->config)));
  pl_tree_part(t->config->batch.global / t->config->batch.micro, pl_comm_size(t->comm),
               pl_comm_rank(t->comm), &t->first_leaf, &t->leaves);
  PL_TRY(pl_startup_dataset(t->comm, t->config->data.train, &t->dataset));
  t->lengths = pl_lengths_of(t->config, pl_dataset_get_info(t->dataset)->samples);
  t->schedule = pl_schedule_settings(t->config, &t->lengths);
  PL_TRY(pl_comm_agree(t->comm, build_state(t)));
  PL_TRY(pl_comm_agree(t->comm, pl_method_prepare(t->method)));
  PL_TRY(pl_state_init(t->comm, &t->state, (uint64_t)t->config->run.seed));
  PL_TRY(pl_comm_agree(t->comm, pl_method_load(t->method, t->state.image, t->state.buffers)));
  PL_TRY(pl_run_folder_claim(t->comm, t->config));
  PL_TRY(pl_metrics_create(t->comm, t->config->run.dir, &t->metrics));
  PL_TRY(pl_comm_agree(t->comm, start_loader(t)));
  log_plan(t);
  return PL_OK;
}

static pl_status fetch(void *context, int64_t leaf, const float **images) {
  trainer *t = context;
  (void)leaf; /* the loader serves leaves in the order in which they are asked for */
  pl_loader_leaf ready;
  PL_TRY(pl_loader_next(t->loader, &ready));
  *images = ready.images;
  return PL_OK;
}

/* A step whose loss or gradient is not finite moves no parameter; the caller sees it in the line.
 */
static pl_status update(trainer *t, pl_step_line *line, pl_rank_report *report) {
  double start = pl_now_ms();
  PL_TRY(pl_grad_reduce_finish(t->reduce, t->gradient));
  double reduced = pl_now_ms();
  if (!isfinite(line->figures.loss)) return PL_OK;
  PL_TRY(pl_optim_step(t->optim, line->lr, line->step, t->state.master, t->gradient,
                       &line->gradient_norm));
  double moved = pl_now_ms();
  PL_TRY(pl_image_gather(t->comm, t->state.space, t->state.slice, t->state.master, t->state.image));
  PL_TRY(pl_method_load(t->method, t->state.image, t->state.buffers));
  report->ms[PL_SPLIT_OPTIMIZER] = moved - reduced;
  report->ms[PL_SPLIT_REDUCE] = pl_now_ms() - moved + reduced - start;
  return PL_OK;
}

static pl_status one_step(trainer *t, pl_step_line *line, pl_rank_report *report) {
  double start = pl_now_ms();
  double waited = pl_loader_wait_ms(t->loader);
  int64_t every = t->config->train.diagnostics;
  pl_step_report step;
  pl_image_source source = {fetch, t};
  PL_TRY(pl_method_step(t->method, &source, t->state.buffers, every > 0 && line->step % every == 0,
                        t->sums, &step));
  line->figures = step.figures;
  PL_TRY(update(t, line, report));
  report->ms[PL_SPLIT_DATA] = pl_loader_wait_ms(t->loader) - waited;
  report->ms[PL_SPLIT_FORWARD] = step.forward_ms;
  report->ms[PL_SPLIT_GATHER] = step.gather_ms;
  report->ms[PL_SPLIT_LOSS] = step.loss_ms;
  report->ms[PL_SPLIT_BACKWARD] = step.backward_ms;
  report->skipped = (double)pl_loader_skipped(t->loader);
  report->total_ms = pl_now_ms() - start;
  return PL_OK;
}

/* An error inside a step strikes one rank while the others wait in a collective call: it is told
 * from here, and ends all. */
static void end_all(const trainer *t, pl_status status) {
  PL_ERROR("rank %d on %s, step %lld: %s: %s", pl_comm_rank(t->comm), pl_comm_host(t->comm),
           (long long)t->state.step, pl_status_name(status), pl_last_reason()->message);
  pl_log_close();
  pl_comm_abort(t->comm, (int)status);
}

static pl_status save(trainer *t, char state_hash[33]) {
  double skipped = (double)pl_loader_skipped(t->loader);
  PL_TRY(pl_comm_sum_f64(t->comm, &skipped, 1));
  PL_TRY(pl_state_hash(t->comm, &t->state, t->optim, state_hash));
  return pl_state_save(t->comm, t->config, &t->state, t->optim, state_hash,
                       t->state.step * t->lengths.batch, (int64_t)skipped);
}

/* Ends a run that went astray. The step moved no parameter; with the running statistics of before
 * it, the state is the last good one, which is saved. */
static pl_status end_not_finite(trainer *t, const pl_step_line *line) {
  char hash[33];
  memcpy(t->state.buffers, t->buffers_before,
         (size_t)pl_space_buffer_elements(t->state.space) * sizeof *t->buffers_before);
  PL_TRY(save(t, hash));
  return PL_FAIL(PL_E_DATA,
                 "step %lld: the %s is not finite; the state before it is saved in %s/checkpoints. "
                 "A lower optim.lr or a longer optim.warmup usually helps",
                 (long long)line->step,
                 isfinite(line->figures.loss) ? "norm of the gradient" : "loss",
                 t->config->run.dir);
}

static pl_status loop(trainer *t) {
  while (t->state.step < t->lengths.steps) {
    int64_t step = t->state.step;
    pl_step_line line = {
        .step = step,
        .steps = t->lengths.steps,
        .epoch = (double)(step + 1) / t->lengths.steps_per_epoch,
        .samples = (step + 1) * t->lengths.batch,
        .batch = t->lengths.batch,
        .lr = pl_schedule_lr(&t->schedule, step),
    };
    pl_rank_report report = {0};
    memcpy(t->buffers_before, t->state.buffers,
           (size_t)pl_space_buffer_elements(t->state.space) * sizeof *t->buffers_before);
    pl_status status = one_step(t, &line, &report);
    if (status != PL_OK) end_all(t, status);
    /* Figures are global: every rank comes to the same verdict. */
    if (!isfinite(line.figures.loss) || !isfinite(line.gradient_norm)) {
      return end_not_finite(t, &line);
    }
    t->state.step++;
    PL_TRY(pl_metrics_step(t->metrics, &line, &report));
  }
  return pl_metrics_finish(t->metrics);
}

static pl_status train(trainer *t, char state_hash[33]) {
  PL_TRY(prepare(t));
  PL_TRY(loop(t));
  return save(t, state_hash);
}

pl_status pl_train(pl_comm *comm, const pl_config *config, int threads, char state_hash[33]) {
  trainer t = {.comm = comm, .config = config};
  pl_status status = pl_startup_table(comm, threads, "cpu");
  if (status == PL_OK) status = train(&t, state_hash);
  trainer_free(&t);
  return status;
}
