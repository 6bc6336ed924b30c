#include "launch/train/metrics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launch/json.h"
#include "launch/train/events.h"
#include "launch/train/metrics_file.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/base/progress.h"

struct pl_metrics {
  pl_comm *comm;
  /* Rank 0: */
  FILE *file;
  pl_events *events;
  char path[PL_PATH_MAX];
  int64_t last_eval;
  double last_shown_ms;
  /* The first failure, to be told at the next exchange. */
  pl_status failed;
  pl_reason reason;
  /* For the summary and the rate; the first step is left out, as it warms everything up. */
  int64_t counted;
  double counted_ms, counted_data_ms, recent_ms;
  int64_t batch;
};

static pl_status open_files(pl_metrics *m, const char *run_dir, int64_t step) {
  PL_TRY(pl_path_join(run_dir, "metrics.jsonl", m->path));
  PL_TRY(pl_metrics_file_open(m->path, step, &m->last_eval, &m->file));
  /* Curves count steps done: the judgement of the state that a run goes on from stands. */
  return pl_events_create(run_dir, step == 0 ? 0 : step + 1, &m->events);
}

pl_status pl_metrics_create(pl_comm *comm, const char *run_dir, int64_t step, pl_metrics **out) {
  pl_metrics *m = pl_alloc(1, sizeof *m);
  pl_status status = m ? PL_OK : PL_E_INTERNAL;
  if (m) m->comm = comm;
  if (status == PL_OK && pl_comm_rank(comm) == 0) status = open_files(m, run_dir, step);
  status = pl_comm_agree(comm, status);
  if (status != PL_OK) pl_metrics_destroy(&m);
  *out = m;
  return status;
}

void pl_metrics_destroy(pl_metrics **metrics) {
  pl_metrics *m = *metrics;
  if (!m) return;
  pl_events_destroy(&m->events);
  if (m->file) fclose(m->file);
  pl_free(m);
  *metrics = NULL;
}

int64_t pl_metrics_last_eval(const pl_metrics *m) { return m->last_eval; }

static void remember(pl_metrics *m, pl_status status) {
  if (status == PL_OK || m->failed != PL_OK) return;
  m->failed = status;
  m->reason = *pl_last_reason();
}

/* Ends a line; every line reaches the system, so that it survives the process. */
static void end_line(pl_metrics *m) {
  fputs("}\n", m->file);
  if (fflush(m->file) != 0 || ferror(m->file)) {
    remember(m, PL_FAIL(PL_E_IO, "cannot write %s: %s", m->path, strerror(errno)));
  }
}

static void put_number(FILE *file, const char *name, double value) {
  fprintf(file, ",\"%s\":", name);
  pl_json_number(file, value);
}

static double most_memory(const pl_boundary *boundary) {
  double most = 0;
  for (int rank = 0; rank < boundary->ranks; rank++) {
    double bytes = boundary->report[rank].memory_bytes;
    if (bytes > most) most = bytes;
  }
  return most;
}

static void write_line(pl_metrics *m, const pl_step_line *line, const pl_boundary *boundary) {
  int slowest = pl_boundary_slowest(boundary);
  const pl_rank_report *worst = &boundary->report[slowest];
  double skipped = 0;
  for (int rank = 0; rank < boundary->ranks; rank++) skipped += boundary->report[rank].skipped;
  fprintf(m->file, "{\"step\":%lld", (long long)line->step);
  put_number(m->file, "epoch", line->epoch);
  fprintf(m->file, ",\"samples\":%lld", (long long)line->samples);
  put_number(m->file, "loss", line->figures.loss);
  put_number(m->file, "lr", line->lr);
  put_number(m->file, "gradient_norm", line->gradient_norm);
  put_number(m->file, "accuracy", line->figures.accuracy);
  put_number(m->file, "alignment", line->figures.alignment);
  put_number(m->file, "uniformity", line->figures.uniformity);
  put_number(m->file, "skipped", skipped);
  fprintf(m->file, ",\"passed_over\":%lld", (long long)line->passed_over);
  put_number(m->file, "memory_mb", most_memory(boundary) / 1e6);
  put_number(m->file, "step_ms", worst->total_ms);
  put_number(m->file, "samples_per_second", (double)line->batch / worst->total_ms * 1e3);
  fprintf(m->file, ",\"slowest_rank\":%d,\"slowest_ms\":{", slowest);
  for (int i = 0; i < PL_SPLITS; i++) {
    fprintf(m->file, "%s\"%s\":%.3f", i ? "," : "", pl_split_names[i], worst->ms[i]);
  }
  fputs("}", m->file);
  end_line(m);
}

static void plot(pl_metrics *m, const char *tag, int64_t step, double value) {
  remember(m, pl_events_scalar(m->events, tag, step, value));
}

static void plot_step(pl_metrics *m, const pl_step_line *line, const pl_boundary *boundary) {
  const pl_rank_report *worst = &boundary->report[pl_boundary_slowest(boundary)];
  int64_t done = line->step + 1;
  plot(m, "train/loss", done, line->figures.loss);
  plot(m, "train/lr", done, line->lr);
  plot(m, "train/gradient_norm", done, line->gradient_norm);
  plot(m, "train/accuracy", done, line->figures.accuracy);
  plot(m, "train/alignment", done, line->figures.alignment);
  plot(m, "train/uniformity", done, line->figures.uniformity);
  plot(m, "train/epoch", done, line->epoch);
  plot(m, "system/samples_per_second", done, (double)line->batch / worst->total_ms * 1e3);
  plot(m, "system/memory_mb", done, most_memory(boundary) / 1e6);
  for (int i = 0; i < PL_SPLITS; i++) {
    char tag[64];
    snprintf(tag, sizeof tag, "milliseconds/%s", pl_split_names[i]);
    plot(m, tag, done, worst->ms[i]);
  }
  remember(m, pl_events_flush(m->events));
}

static void show(pl_metrics *m, const pl_step_line *line) {
  bool last = line->step + 1 == line->steps;
  if (!pl_progress_due(&m->last_shown_ms) && !last) return;
  char left[32];
  pl_progress_time((double)(line->steps - line->step - 1) * m->recent_ms / 1e3, left);
  pl_log_progress(
      "step %lld/%lld  epoch %.2f  loss %.4f  picked %.1f%%  lr %.4g  %.1f samples/s  %s left",
      (long long)line->step + 1, (long long)line->steps, line->epoch, line->figures.loss,
      100 * line->figures.accuracy, line->lr, (double)line->batch / m->recent_ms * 1e3, left);
}

static void count(pl_metrics *m, const pl_step_line *line, const pl_rank_report *mine) {
  m->batch = line->batch;
  if (m->recent_ms <= 0 || m->counted == 0) {
    m->recent_ms = mine->total_ms;
  } else {
    m->recent_ms += 0.1 * (mine->total_ms - m->recent_ms);
  }
  if (m->counted++ == 0) return;
  m->counted_ms += mine->total_ms;
  m->counted_data_ms += mine->ms[PL_SPLIT_DATA];
}

void pl_metrics_step(pl_metrics *m, const pl_step_line *line, const pl_boundary *boundary) {
  count(m, line, &boundary->report[pl_comm_rank(m->comm)]);
  if (!m->file) return;
  write_line(m, line, boundary);
  plot_step(m, line, boundary);
  show(m, line);
}

/* A share of the queries, where it is told. */
static void tell_share(pl_metrics *m, const pl_eval_line *line, const char *name, int64_t right) {
  if (right < 0) return;
  double share = (double)right / (double)line->queries;
  put_number(m->file, name, share);
  char tag[64];
  snprintf(tag, sizeof tag, strcmp(name, "accuracy") == 0 ? "eval/%s" : "eval/%s_%s", line->kind,
           name);
  plot(m, tag, line->step, share);
}

static void log_eval(const pl_eval_line *line) {
  const int64_t more[] = {line->right5, line->right10};
  const int cut[] = {5, 10};
  char text[96] = "";
  size_t used = 0;
  for (int i = 0; i < 2; i++) {
    if (more[i] < 0) continue;
    used += (size_t)snprintf(text + used, sizeof text - used, ", %.2f%% among %d",
                             100 * (double)more[i] / (double)line->queries, cut[i]);
  }
  pl_log_progress("%s", "");
  PL_INFO("after step %lld (epoch %.2f): %s accuracy %.2f%%%s", (long long)line->step, line->epoch,
          line->kind, 100 * (double)line->right / (double)line->queries, text);
}

void pl_metrics_eval(pl_metrics *m, const pl_eval_line *line) {
  if (!m->file) return;
  fprintf(m->file, "{\"event\":\"eval\",\"step\":%lld", (long long)line->step);
  put_number(m->file, "epoch", line->epoch);
  fprintf(m->file, ",\"kind\":\"%s\"", line->kind);
  tell_share(m, line, "accuracy", line->right);
  tell_share(m, line, "top5", line->right5);
  tell_share(m, line, "top10", line->right10);
  fprintf(m->file, ",\"right\":%lld,\"queries\":%lld", (long long)line->right,
          (long long)line->queries);
  if (isfinite(line->rate)) put_number(m->file, "rate", line->rate);
  put_number(m->file, "ms", line->ms);
  end_line(m);
  log_eval(line);
}

void pl_metrics_checkpoint(pl_metrics *m, const pl_save_outcome *outcome) {
  if (!m->file) return;
  fprintf(m->file, "{\"event\":\"checkpoint\",\"step\":%lld,\"bytes\":%lld",
          (long long)outcome->step, (long long)outcome->bytes);
  put_number(m->file, "stall_ms", outcome->stall_ms);
  put_number(m->file, "write_ms", outcome->write_ms);
  end_line(m);
}

void pl_metrics_event(pl_metrics *m, const char *name, const char *fields) {
  if (!m->file) return;
  fprintf(m->file, "{\"event\":\"%s\",%s", name, fields);
  end_line(m);
}

pl_status pl_metrics_failed(const pl_metrics *m, const pl_reason **why) {
  *why = &m->reason;
  return m->failed;
}

static void log_summary(const pl_metrics *m) {
  pl_log_progress("%s", "");
  if (m->counted_ms <= 0) return;
  PL_INFO(
      "%.1f samples/s over %lld steps; %.2f%% of the time waiting for data; peak memory of rank 0 "
      "%.0f MB",
      (double)(m->batch * (m->counted - 1)) / m->counted_ms * 1e3, (long long)m->counted,
      100 * m->counted_data_ms / m->counted_ms, (double)pl_peak_resident_bytes() / 1e6);
}

pl_status pl_metrics_finish(pl_metrics *m) {
  if (pl_comm_rank(m->comm) == 0) log_summary(m);
  return pl_comm_agree(m->comm, m->failed == PL_OK ? PL_OK : pl_adopt_reason(&m->reason));
}
