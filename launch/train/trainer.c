/* The loop of a run, and its ends. */
#include "launch/train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/gallery/gallery.h"
#include "launch/plan/plan.h"
#include "launch/report/report.h"
#include "launch/train/training.h"
#include "runtime/base/account.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

/* An error inside a step strikes one rank while the others wait in a collective call: it is told
 * from here, and ends all. */
static void end_all(const pl_training *t, pl_status status) {
  PL_ERROR("rank %d on %s, step %lld: %s: %s", pl_comm_rank(t->comm), pl_comm_host(t->comm),
           (long long)t->state.step, pl_status_name(status), pl_last_reason()->message);
  pl_log_close();
  pl_comm_abort(t->comm, (int)status);
}

/* Time to be left for ending in good order: twice what a step, a save, and a judging that comes
 * next have taken at their longest, and a little for the start of writing. */
static double stop_margin_ms(const pl_training *t) {
  enum { LEAST_MS = 2000 };
  double judging = t->config->eval.every.amount > 0 ? t->longest_judging_ms : 0;
  return LEAST_MS + 2 * t->longest_step_ms + 2 * pl_saver_longest_ms(t->saver) + judging;
}

/* What ranks tell each other at the end of a step, and what follows from it. */
static pl_status end_step(pl_training *t, const pl_step_line *line, pl_rank_report *report,
                          pl_stop *stop) {
  const pl_reason *why;
  report->memory_bytes = (double)pl_peak_resident_bytes();
  report->stop = (int32_t)pl_stop_asked(&t->clock, stop_margin_ms(t));
  report->failed = (int32_t)pl_metrics_failed(t->metrics, &why);
  pl_saver_report(t->saver, &report->save);
  PL_TRY(pl_boundary_exchange(t->comm, &t->boundary, report, why));
  PL_TRY(pl_saver_advance(t->saver, &t->boundary.report[0].save, sizeof *t->boundary.report));
  pl_metrics_step(t->metrics, line, &t->boundary);
  bool is_new = false;
  pl_save_outcome outcome = pl_saver_outcome(t->saver, &is_new);
  if (is_new) pl_metrics_checkpoint(t->metrics, &outcome);
  int rank;
  *stop = pl_boundary_stop(&t->boundary, &rank);
  if (*stop != PL_STOP_NONE && pl_comm_rank(t->comm) == 0) {
    PL_INFO("%s on rank %d: saving after step %lld", pl_stop_name(*stop), rank,
            (long long)t->state.step);
  }
  return PL_OK;
}

/* A step without effect is counted; past the limit the run has gone astray. What it would save is
 * not worth more than the checkpoint there is. */
static pl_status pass_over(pl_training *t, const pl_step_line *line) {
  const char *what = isfinite(line->figures.loss) ? "norm of the gradient" : "loss";
  long long limit = (long long)t->config->train.nonfinite_limit;
  t->passed_over++;
  if (t->passed_over <= limit) {
    if (pl_comm_rank(t->comm) == 0) {
      PL_WARN("step %lld is passed over: the %s is not finite (%lld of at most %lld)",
              (long long)line->step, what, (long long)t->passed_over, limit);
    }
    return PL_OK;
  }
  char path[PL_PATH_MAX];
  PL_TRY(pl_saver_finish(t->saver));
  pl_training_newest_path(t, path);
  return PL_FAIL(PL_E_DATA,
                 "step %lld: the %s is not finite, for the %lldth time in this run; the last good "
                 "checkpoint is %s. A lower optim.lr or a longer optim.warmup usually helps",
                 (long long)line->step, what, (long long)t->passed_over,
                 path[0] != '\0' ? path : "none, as none was due yet");
}

static pl_status run_step(pl_training *t, pl_stop *stop) {
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
  bool moved;
  pl_status status = pl_training_step(t, &line, &report, &moved);
  if (status != PL_OK) end_all(t, status);
  if (moved) {
    t->loss_sum += line.figures.loss;
    t->loss_count++;
  } else {
    PL_TRY(pass_over(t, &line));
  }
  t->state.step++;
  line.passed_over = t->passed_over;
  return end_step(t, &line, &report, stop);
}

/* Judges and saves where the state after this step is due for it. */
static pl_status between_steps(pl_training *t) {
  double value = NAN;
  if (pl_training_judge_due(t)) PL_TRY(pl_training_judge(t, &value));
  if (t->state.step == 0 || !pl_training_save_due(t, value)) return PL_OK;
  return pl_training_save(t, value);
}

static pl_status loop(pl_training *t, pl_stop *stop) {
  *stop = PL_STOP_NONE;
  PL_TRY(between_steps(t));
  while (t->state.step < t->lengths.steps && *stop == PL_STOP_NONE) {
    PL_TRY(run_step(t, stop));
    /* Whoever asks to stop has no time for judging: a resumed run makes up for it. */
    if (*stop == PL_STOP_NONE) PL_TRY(between_steps(t));
  }
  return PL_OK;
}

/* What rank 0 held, by kind, at its highest: the figures that a plan foretells. */
static void tell_memory(pl_training *t) {
  pl_memory_figures used;
  char *fields = NULL;
  size_t length;
  FILE *out = open_memstream(&fields, &length);
  if (!out) return;
  pl_account_read(&used);
  fprintf(out, "\"step\":%lld,\"sent\":%zu,\"resident\":%zu,\"host\":", (long long)t->state.step,
          pl_comm_sent_bytes(t->comm), pl_peak_resident_bytes());
  pl_memory_print_json(out, used.peak[PL_ON_HOST]);
  fputs(",\"device\":", out);
  pl_memory_print_json(out, used.peak[PL_ON_DEVICE]);
  if (fclose(out) == 0) pl_metrics_event(t->metrics, "memory", fields);
  free(fields);
}

static pl_status tell_end(pl_training *t, const char *reason) {
  char now[PL_TIME_TEXT], fields[256];
  bool is_new = false;
  pl_save_outcome outcome = pl_saver_outcome(t->saver, &is_new);
  if (is_new) pl_metrics_checkpoint(t->metrics, &outcome);
  tell_memory(t);
  pl_training_time(now);
  snprintf(fields, sizeof fields,
           "\"time\":\"%s\",\"step\":%lld,\"reason\":\"%s\",\"state\":\"%s\"", now,
           (long long)t->state.step, reason, t->state_hash);
  pl_metrics_event(t->metrics, "end", fields);
  return pl_metrics_finish(t->metrics);
}

/* Pictures come from the samples that the run is judged by, or where there are none from those it
 * trains on. */
static pl_status write_pictures(pl_training *t) {
  char path[PL_PATH_MAX];
  if (t->config->report.samples == 0) return PL_OK;
  PL_TRY(pl_comm_agree(t->comm, pl_path_join(t->config->run.dir, "pictures.html", path)));
  pl_training_free_steps(t);
  PL_TRY(pl_training_load_nets(t, PL_JUDGE_BY_BANK));
  pl_status status = pl_gallery_write(t->comm, t->config, t->nets.encoder,
                                      t->queries ? t->queries : t->dataset, path);
  if (status == PL_OK || status == PL_E_INTERNAL) return status;
  /* The run is complete and saved: a report without pictures is no reason to fail it. */
  if (pl_comm_rank(t->comm) == 0) PL_WARN("no pictures: %s", pl_last_reason()->message);
  return PL_OK;
}

static pl_status write_report(const pl_training *t) {
  const char *run = t->config->run.dir;
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(run, "report.html", path));
  PL_TRY(pl_report_write(&run, 1, path));
  PL_INFO("report: %s", path);
  return PL_OK;
}

static pl_status train(pl_training *t, pl_stop *stop) {
  PL_TRY(pl_training_prepare(t));
  PL_TRY(loop(t, stop));
  PL_TRY(pl_training_save(t, NAN));
  PL_TRY(pl_saver_finish(t->saver));
  PL_TRY(tell_end(t, *stop == PL_STOP_NONE ? "done" : pl_stop_name(*stop)));
  if (*stop == PL_STOP_NONE) PL_TRY(write_pictures(t));
  return pl_comm_agree(t->comm, pl_comm_rank(t->comm) == 0 ? write_report(t) : PL_OK);
}

pl_status pl_train(pl_comm *comm, const pl_config *config, int threads,
                   char state_hash[PL_CHECKPOINT_HASH]) {
  pl_training t = {.comm = comm, .config = config, .threads = threads};
  pl_stop stop = PL_STOP_NONE;
  pl_status status = train(&t, &stop);
  memcpy(state_hash, t.state_hash, sizeof t.state_hash);
  if (status == PL_OK && stop != PL_STOP_NONE) {
    char path[PL_PATH_MAX];
    pl_training_newest_path(&t, path);
    status =
        PL_FAIL(PL_E_STOPPED,
                "stopped on %s after step %lld of %lld, saved in %s: start the same again with "
                "run.resume=auto, or say `plenum train %s`",
                pl_stop_name(stop), (long long)t.state.step, (long long)t.lengths.steps, path,
                config->run.dir);
  }
  pl_training_free(&t);
  return status;
}
