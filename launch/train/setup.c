/* Everything up to the first step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/link.h"
#include "launch/device.h"
#include "launch/json.h"
#include "launch/train/shortage.h"
#include "launch/train/training.h"
#include "runtime/base/account.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"

void pl_training_free_steps(pl_training *t) {
  pl_saver_destroy(&t->saver);
  pl_feed_destroy(&t->feed);
  t->loader = NULL;
  pl_free(t->buffers_before);
  t->buffers_before = NULL;
  pl_grad_reduce_destroy(&t->reduce);
  pl_gradsum_destroy(&t->sums);
  pl_optim_destroy(&t->optim);
  if (t->method) pl_method_end_steps(t->method);
}

void pl_training_free(pl_training *t) {
  pl_training_free_steps(t);
  pl_watchdog_stop(&t->watchdog);
  pl_metrics_destroy(&t->metrics);
  pl_boundary_free(&t->boundary);
  pl_judge_nets_free(&t->nets);
  if (t->average_image) t->state.device->release(t->average_image);
  pl_dataset_close(&t->queries);
  pl_dataset_close(&t->bank);
  pl_free(t->ledger);
  pl_free(t->config_yaml);
  pl_method_destroy(&t->method);
  pl_state_free(&t->state);
  pl_tokenizer_close(&t->tokenizer);
  pl_dataset_close(&t->dataset);
  pl_run_folder_release(&t->folder);
  t->ledger = NULL;
  t->config_yaml = NULL;
  t->average_image = NULL;
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

/* More ranks than parts: each still gets a share, but sums lie in another order than on fewer. */
static void warn_of_parts(const pl_training *t) {
  long long parts = (long long)pl_parts_setting(t->config);
  if (pl_comm_rank(t->comm) != 0 || pl_comm_size(t->comm) <= parts) return;
  PL_WARN(
      "%d ranks are more than the %lld parts of the batch (batch.parts): the last bits of the "
      "result will not be those of fewer ranks",
      pl_comm_size(t->comm), parts);
}

static pl_status on_gradient(void *context, int param) {
  pl_training *t = context;
  return pl_grad_reduce_ready(t->reduce, pl_gradsum_total(t->sums), param);
}

static pl_status reserve_buffers_before(pl_training *t) {
  PL_MEMORY_FOR(PL_MEMORY_BUFFERS);
  size_t elements = (size_t)pl_space_buffer_elements(t->state.space);
  t->buffers_before = pl_alloc(elements, sizeof *t->buffers_before);
  return t->buffers_before ? PL_OK : PL_E_INTERNAL;
}

/* Network, state and what moves it. Not collective up to the method's preparation. */
static pl_status build_state(pl_training *t) {
  PL_TRY(pl_precision_setting(t->config, &t->precision));
  PL_TRY(pl_tokenizer_setting(t->config, &t->tokenizer));
  int vocabulary = t->tokenizer ? pl_tokenizer_vocabulary(t->tokenizer) : 0;
  PL_TRY(pl_state_build(t->comm, t->backend, t->config, t->precision, vocabulary, &t->state,
                        &t->method));
  const pl_space *space = t->state.space;
  pl_optim_options options = pl_optim_settings(t->config);
  PL_TRY(pl_optim_create(t->backend->device, space, t->state.slice, pl_comm_ranks(t->comm),
                         &options, &t->optim));
  pl_scalar_rule scalar[PL_SCALAR_RULES];
  int scalars = pl_method_scalars(t->method, scalar);
  for (int k = 0; k < scalars; k++) {
    pl_optim_scale_rate(t->optim, scalar[k].param, scalar[k].rate);
    pl_optim_bound(t->optim, scalar[k].param, scalar[k].most);
  }
  PL_TRY(pl_gradsum_create(t->backend->device, space, t->leaves,
                           pl_parts_levels(t->config, pl_comm_size(t->comm)), &t->sums));
  PL_TRY(pl_grad_reduce_create(t->comm, t->backend->device, space, t->state.slice, &t->reduce));
  pl_gradsum_on_done(t->sums, on_gradient, t);
  PL_TRY(pl_boundary_create(t->comm, &t->boundary));
  return reserve_buffers_before(t);
}

/* ---- going on from a checkpoint ---- */

/* With `force`, what speaks against going on is told and lived with. */
static pl_status object(bool force, bool tell, const char *what) {
  if (!force) {
    return PL_FAIL(PL_E_USAGE,
                   "%s. Undo that, start a new run in another run.dir, or go on all the same with "
                   "run.resume_force=true",
                   what);
  }
  if (tell) PL_WARN("%s; going on all the same (run.resume_force)", what);
  return PL_OK;
}

/* Whether this run may go on from that checkpoint: the trajectory is that of one configuration on
 * one dataset. */
static pl_status check_resumable(const pl_training *t, const pl_checkpoint_manifest *from) {
  bool force = t->config->run.resume_force, tell = pl_comm_rank(t->comm) == 0;
  char what[PL_REASON_MAX];
  pl_config *then = pl_alloc(1, sizeof *then);
  if (!then) return PL_E_INTERNAL;
  pl_config_defaults(then);
  char *names = NULL;
  pl_status status;
  PL_TRY_OR(done, status,
            pl_config_parse(then, "the checkpoint's configuration", from->config_yaml,
                            strlen(from->config_yaml)));
  PL_TRY_OR(done, status, pl_config_changes(then, t->config, &names));
  if (names[0] != '\0') {
    snprintf(what, sizeof what, "the configuration differs from that of the run in %s: %s",
             t->config->run.dir, names);
    PL_TRY_OR(done, status, object(force, tell, what));
  }
  const char *hash = pl_dataset_get_info(t->dataset)->hash;
  if (strcmp(hash, from->dataset) != 0) {
    snprintf(what, sizeof what, "the dataset in %s is not the one that the run in %s began with",
             t->config->data.train, t->config->run.dir);
    PL_TRY_OR(done, status, object(force, tell, what));
  }
  if (tell && strcmp(from->build, t->build) != 0) {
    PL_WARN("the checkpoint was written by plenum %s, this is %s: equal bits are not promised",
            from->build, t->build);
  }
done:
  pl_free(names);
  pl_free(then);
  return status;
}

/* What was read must hash to what was saved, whatever the number of ranks then and now. */
static pl_status check_state(pl_training *t, const pl_checkpoint_manifest *from) {
  char hash[PL_CHECKPOINT_HASH];
  PL_TRY(pl_state_hash(t->comm, &t->state, t->optim, hash));
  if (strcmp(hash, from->state_hash) == 0) return PL_OK;
  return PL_FAIL(PL_E_DATA, "the state read from %s hashes to %s; %s was saved",
                 pl_checkpoint_folder(t->folder.checkpoint), hash, from->state_hash);
}

static pl_status resume(pl_training *t) {
  const pl_checkpoint *checkpoint = t->folder.checkpoint;
  const pl_checkpoint_manifest *from = pl_checkpoint_get_manifest(checkpoint);
  bool force = t->config->run.resume_force;
  PL_TRY(pl_comm_agree(t->comm, check_resumable(t, from)));
  PL_TRY(pl_state_load(t->comm, checkpoint, force, &t->state, t->optim));
  if (!force) PL_TRY(check_state(t, from));
  t->passed_over = from->passed_over;
  t->saved_step = from->step;
  memcpy(t->state_hash, from->state_hash, sizeof t->state_hash);
  if (pl_comm_rank(t->comm) == 0) {
    PL_INFO("going on from %s, after step %lld of %lld", pl_checkpoint_folder(checkpoint),
            (long long)from->step, (long long)t->lengths.steps);
  }
  return pl_run_folder_keep_config(t->comm, t->config);
}

/* What the bits of a trajectory depend on besides configuration and data. */
static pl_status name_build(pl_training *t) {
  char program[PL_BUILD_TEXT];
  PL_TRY(pl_build_text(program));
  const char *device = t->backend->device->is_host ? "" : t->backend->name;
  bool views_apart = *device && !pl_device_view_maker(t->config);
  snprintf(t->build, sizeof t->build, "%s with %d %s a rank%s%s%s", program, t->threads,
           t->threads == 1 ? "thread" : "threads", *device ? " on " : "", device,
           views_apart ? ", views by the processor" : "");
  return PL_OK;
}

static pl_status start_or_resume(pl_training *t) {
  const pl_checkpoint *checkpoint = t->folder.checkpoint;
  PL_TRY(pl_comm_agree(t->comm, name_build(t)));
  if (checkpoint) {
    PL_TRY(resume(t));
  } else {
    PL_TRY(pl_state_init(t->comm, &t->state, (uint64_t)t->config->run.seed));
  }
  PL_TRY(pl_comm_agree(
      t->comm,
      pl_training_ledger_prepare(t, checkpoint ? pl_checkpoint_get_manifest(checkpoint) : NULL)));
  pl_checkpoint_close(&t->folder.checkpoint);
  t->first_step = t->state.step;
  return pl_comm_agree(t->comm, pl_method_load(t->method, t->state.image, t->state.buffers));
}

/* ---- what runs beside the loop ---- */

pl_status pl_training_start_loader(pl_training *t) {
  const pl_config *c = t->config;
  int64_t left = pl_account_is_planning() ? 0 : t->lengths.steps - t->state.step;
  pl_loader_options options = {
      .dataset = t->dataset,
      .augment = pl_augment_settings(c),
      .random = true,
      .shuffle = true,
      .shuffle_block = c->data.shuffle_block,
      .shuffle_window = c->data.shuffle_window,
      .seed = (uint64_t)c->run.seed,
      .views = pl_method_views(t->method),
      .tokenizer = t->tokenizer,
      .context = (int)c->model.text.context,
      .leaf_samples = (int)c->batch.micro,
      .batch = c->batch.global,
      .first_leaf = t->first_leaf,
      .leaves = t->leaves,
      .passes = c->batch.activations == PL_CFG_ACTIVATIONS_RECOMPUTE ? 2 : 1,
      .first_step = t->state.step,
      .steps = left > 0 ? left : 0,
      .workers = pl_loader_workers_setting(c, pl_threads_count()),
      .skip_limit = c->data.skip_limit,
  };
  PL_TRY(pl_feed_create(c, &options, &t->feed));
  t->loader = pl_feed_loader(t->feed);
  return PL_OK;
}

static pl_status start_watchdog(pl_training *t) {
  if (t->config->run.watchdog == 0) return PL_OK;
  return pl_watchdog_start(t->comm, t->config->run.watchdog, t->folder.watchdog, &t->watchdog);
}

/* Rank 0 knows when the encoder was judged for the last time. */
static pl_status start_metrics(pl_training *t) {
  PL_TRY(pl_metrics_create(t->comm, t->config->run.dir, t->first_step, &t->metrics));
  t->judged_step = pl_metrics_last_eval(t->metrics);
  return pl_comm_broadcast(t->comm, &t->judged_step, sizeof t->judged_step, 0);
}

static void log_memory(const pl_plan *plan, pl_memory_place place, const char *of) {
  char line[PL_PLAN_LINE];
  pl_plan_line(plan, place, line);
  PL_INFO("memory%s that a rank needs: %s", of, line);
}

static void log_plan(const pl_training *t) {
  if (pl_comm_rank(t->comm) != 0) return;
  const pl_dataset_info *info = pl_dataset_get_info(t->dataset);
  pl_net_costs costs = pl_method_costs(t->method);
  PL_INFO("%lld samples in %d shards; %lld steps of %lld samples (%.2f epochs), %lld micro-batches",
          (long long)info->samples, info->shards, (long long)t->lengths.steps,
          (long long)t->lengths.batch, (double)t->lengths.steps / t->lengths.steps_per_epoch,
          (long long)(t->config->batch.global / t->config->batch.micro));
  PL_INFO("%.2f M parameters, %s, %.1f GFLOP per sample and step",
          (double)pl_space_trainable(t->state.space) / 1e6, pl_dtype_name(t->precision),
          (costs.forward_flops + costs.backward_flops) / (double)t->config->batch.micro / 1e9);
  log_memory(&t->plan, PL_ON_HOST, "");
  if (t->plan.on_gpu) log_memory(&t->plan, PL_ON_DEVICE, " of its GPU");
}

void pl_training_time(char text[PL_TIME_TEXT]) {
  time_t now = time(NULL);
  struct tm parts;
  strftime(text, PL_TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
}

/* The start as an event of the metrics. */
static pl_status tell_start(const pl_training *t, const char *hosts) {
  const pl_dataset_info *info = pl_dataset_get_info(t->dataset);
  pl_net_costs costs = pl_method_costs(t->method);
  char now[PL_TIME_TEXT], *fields = NULL;
  size_t length;
  FILE *out = open_memstream(&fields, &length);
  if (!out) return PL_FAIL(PL_E_INTERNAL, "out of memory for the start's line");
  pl_training_time(now);
  fprintf(out, "\"time\":\"%s\",\"step\":%lld,\"steps\":%lld,\"batch\":%lld", now,
          (long long)t->first_step, (long long)t->lengths.steps, (long long)t->lengths.batch);
  fprintf(out, ",\"steps_per_epoch\":%.9g,\"samples\":%lld,\"shards\":%d,\"train\":",
          t->lengths.steps_per_epoch, (long long)info->samples, info->shards);
  pl_json_text(out, t->config->data.train);
  fprintf(out, ",\"dataset\":\"%s\",\"parameters\":%lld,\"flops_per_sample\":%.6g", info->hash,
          (long long)pl_space_trainable(t->state.space),
          (costs.forward_flops + costs.backward_flops) / (double)t->config->batch.micro);
  fprintf(out, ",\"precision\":\"%s\",\"build\":", pl_dtype_name(t->precision));
  pl_json_text(out, t->build);
  fprintf(out, ",\"hosts\":%s", hosts);
  bool failed = fclose(out) != 0;
  if (!failed) pl_metrics_event(t->metrics, "start", fields);
  free(fields);
  return failed ? PL_FAIL(PL_E_INTERNAL, "out of memory for the start's line") : PL_OK;
}

pl_status pl_training_reserve(pl_training *t) {
  PL_TRY(pl_comm_agree(t->comm, check_ranks(t->comm, t->config)));
  pl_tree_part(t->config->batch.global / t->config->batch.micro, pl_comm_size(t->comm),
               pl_comm_rank(t->comm), &t->first_leaf, &t->leaves);
  PL_TRY(pl_startup_dataset(t->comm, t->config->data.train, &t->dataset));
  t->lengths = pl_lengths_of(t->config, pl_dataset_get_info(t->dataset)->samples);
  t->schedule = pl_schedule_settings(t->config, &t->lengths);
  PL_TRY(pl_comm_agree(t->comm, build_state(t)));
  if (t->tokenizer) PL_TRY(pl_comm_agree(t->comm, pl_dataset_check_captioned(t->dataset)));
  PL_TRY(pl_comm_agree(t->comm, pl_method_prepare(t->method)));
  return pl_training_judge_prepare(t);
}

static pl_status prepare(pl_training *t, const char *hosts) {
  PL_TRY(pl_comm_agree(t->comm, pl_stop_listen()));
  t->clock = pl_stop_clock_start(t->config->run.time_limit);
  PL_TRY(pl_training_reserve(t));
  /* From here on an earlier run may be gone: what can be wrong with the request was told. */
  PL_TRY(pl_run_folder_claim(t->comm, t->config, &t->folder));
  PL_TRY(start_watchdog(t));
  PL_TRY(start_or_resume(t));
  PL_TRY(start_metrics(t));
  PL_TRY(pl_training_saver_prepare(t));
  PL_TRY(pl_comm_agree(t->comm, pl_training_start_loader(t)));
  log_plan(t);
  warn_of_parts(t);
  return pl_comm_agree(t->comm, tell_start(t, hosts));
}

pl_status pl_training_prepare(pl_training *t) {
  char *hosts = NULL;
  t->folder.lock = -1;
  t->saved_step = -1;
  t->judged_step = -1;
  pl_status status = pl_device_open(t->comm, t->config, &t->backend);
  if (status == PL_OK) status = pl_startup_table(t->comm, t->threads, &hosts);
  if (status == PL_OK) status = pl_device_link(t->comm, t->config, t->backend);
  if (status == PL_OK) status = pl_shortage_foresee(t->comm, t->config, &t->plan);
  if (status == PL_OK) {
    status = prepare(t, hosts);
    if (status != PL_OK) {
      pl_training_free(t);
      if (!pl_link_is_cut(t->comm))
        status = pl_shortage_explain(t->comm, &t->plan, t->config, status);
    }
  }
  free(hosts);
  return status;
}
