#include "launch/metrics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

static const char *const split_names[PL_SPLITS] = {
    "data", "forward", "gather", "loss", "backward", "reduce", "optimizer", "checkpoint"};

/* A line is shown this often: smooth on a terminal, sparse in a log. */
enum { TERMINAL_MS = 200, PLAIN_MS = 10000 };

struct pl_metrics {
  pl_comm *comm;
  FILE *file; /* rank 0 */
  char path[PL_PATH_MAX];
  pl_rank_report *reports; /* (ranks) */
  pl_status failed;        /* of the last line, to be told at the next exchange */
  pl_reason reason;
  double last_shown_ms;
  /* For the summary and the rate; the first step is left out, as it warms everything up. */
  int64_t counted;
  double counted_ms, counted_data_ms, recent_ms;
  int64_t batch;
};

static pl_status open_file(pl_metrics *m, const char *run_dir) {
  PL_TRY(pl_path_join(run_dir, "metrics.jsonl", m->path));
  m->file = fopen(m->path, "w");
  if (!m->file) return PL_FAIL(PL_E_IO, "cannot create %s: %s", m->path, strerror(errno));
  return PL_OK;
}

pl_status pl_metrics_create(pl_comm *comm, const char *run_dir, pl_metrics **out) {
  pl_metrics *m = pl_alloc(1, sizeof *m);
  pl_status status = m ? PL_OK : PL_E_INTERNAL;
  if (m) {
    m->comm = comm;
    m->reports = pl_alloc((size_t)pl_comm_size(comm), sizeof *m->reports);
    if (!m->reports) status = PL_E_INTERNAL;
  }
  if (status == PL_OK && pl_comm_rank(comm) == 0) status = open_file(m, run_dir);
  status = pl_comm_agree(comm, status);
  if (status != PL_OK) pl_metrics_destroy(&m);
  *out = m;
  return status;
}

void pl_metrics_destroy(pl_metrics **metrics) {
  pl_metrics *m = *metrics;
  if (!m) return;
  if (m->file) fclose(m->file);
  pl_free(m->reports);
  pl_free(m);
  *metrics = NULL;
}

/* JSON has no word for what is not a number. */
static void put_number(FILE *file, const char *name, double value) {
  if (isfinite(value)) {
    fprintf(file, ",\"%s\":%.9g", name, value);
  } else {
    fprintf(file, ",\"%s\":null", name);
  }
}

/* Time a rank spent on its own work, not in waiting for others. */
static double busy_ms(const pl_rank_report *report) {
  return report->ms[PL_SPLIT_DATA] + report->ms[PL_SPLIT_FORWARD] + report->ms[PL_SPLIT_LOSS] +
         report->ms[PL_SPLIT_BACKWARD] + report->ms[PL_SPLIT_OPTIMIZER];
}

static int slowest_rank(const pl_rank_report *reports, int size) {
  int slowest = 0;
  for (int rank = 1; rank < size; rank++) {
    if (busy_ms(&reports[rank]) > busy_ms(&reports[slowest])) slowest = rank;
  }
  return slowest;
}

static pl_status write_line(pl_metrics *m, const pl_step_line *line) {
  int size = pl_comm_size(m->comm);
  int slowest = slowest_rank(m->reports, size);
  const pl_rank_report *worst = &m->reports[slowest];
  double skipped = 0;
  for (int rank = 0; rank < size; rank++) skipped += m->reports[rank].skipped;
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
  put_number(m->file, "step_ms", worst->total_ms);
  put_number(m->file, "samples_per_second", (double)line->batch / worst->total_ms * 1e3);
  fprintf(m->file, ",\"slowest_rank\":%d,\"slowest_ms\":{", slowest);
  for (int i = 0; i < PL_SPLITS; i++) {
    fprintf(m->file, "%s\"%s\":%.3f", i ? "," : "", split_names[i], worst->ms[i]);
  }
  fprintf(m->file, "}}\n");
  if (fflush(m->file) != 0 || ferror(m->file)) {
    return PL_FAIL(PL_E_IO, "cannot write %s: %s", m->path, strerror(errno));
  }
  return PL_OK;
}

static void format_time_left(double seconds, char *text, size_t size) {
  long long whole = (long long)(seconds + 0.5);
  if (whole >= 3600) {
    snprintf(text, size, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    snprintf(text, size, "%lld:%02lld", whole / 60, whole % 60);
  }
}

static void show(pl_metrics *m, const pl_step_line *line) {
  double now = pl_now_ms();
  bool last = line->step + 1 == line->steps;
  double pause = pl_log_is_terminal() ? TERMINAL_MS : PLAIN_MS;
  if (!last && m->last_shown_ms > 0 && now - m->last_shown_ms < pause) return;
  m->last_shown_ms = now;
  char left[32];
  format_time_left((double)(line->steps - line->step - 1) * m->recent_ms / 1e3, left, sizeof left);
  pl_log_progress(
      "step %lld/%lld  epoch %.2f  loss %.4f  picked %.1f%%  lr %.4g  %.1f samples/s  "
      "%s left",
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

pl_status pl_metrics_step(pl_metrics *m, const pl_step_line *line, pl_rank_report *mine) {
  mine->failed = (double)m->failed;
  PL_TRY(pl_comm_allgather_equal(m->comm, mine, m->reports, sizeof *mine));
  for (int rank = 0; rank < pl_comm_size(m->comm); rank++) {
    if (m->reports[rank].failed != (double)PL_OK) return pl_metrics_finish(m);
  }
  count(m, line, mine);
  if (pl_comm_rank(m->comm) != 0) return PL_OK;
  m->failed = write_line(m, line);
  if (m->failed != PL_OK) m->reason = *pl_last_reason();
  show(m, line);
  return PL_OK;
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
