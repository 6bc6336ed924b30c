/* metrics.jsonl into pl_report_run. What a line tells is first collected by name, as the order of
 * its keys is nobody's promise, then put where its event says. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/report/flat.h"
#include "launch/report/run.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/config/text.h"

/* Numbers of a line, besides the columns. */
enum {
  NUMBER_STEPS = PL_COLUMNS,
  NUMBER_BATCH,
  NUMBER_SHARDS,
  NUMBER_PARAMETERS,
  NUMBER_RIGHT,
  NUMBER_QUERIES,
  NUMBER_TOP5,
  NUMBER_TOP10,
  NUMBER_STEPS_PER_EPOCH,
  NUMBER_FLOPS,
  NUMBER_JUDGE_RATE,
  NUMBER_JUDGE_MS,
  NUMBER_BYTES,
  NUMBER_STALL_MS,
  NUMBER_WRITE_MS,
  NUMBERS
};

static const struct {
  const char *name;
  bool whole;
} numbers[NUMBERS] = {
    [PL_COLUMN_STEP] = {"step", true},
    [PL_COLUMN_EPOCH] = {"epoch", false},
    [PL_COLUMN_SAMPLES] = {"samples", true},
    [PL_COLUMN_LOSS] = {"loss", false},
    [PL_COLUMN_LR] = {"lr", false},
    [PL_COLUMN_GRADIENT_NORM] = {"gradient_norm", false},
    [PL_COLUMN_ACCURACY] = {"accuracy", false},
    [PL_COLUMN_ALIGNMENT] = {"alignment", false},
    [PL_COLUMN_UNIFORMITY] = {"uniformity", false},
    [PL_COLUMN_SKIPPED] = {"skipped", false},
    [PL_COLUMN_PASSED_OVER] = {"passed_over", false},
    [PL_COLUMN_MEMORY_MB] = {"memory_mb", false},
    [PL_COLUMN_STEP_MS] = {"step_ms", false},
    [PL_COLUMN_RATE] = {"samples_per_second", false},
    [PL_COLUMN_DATA] = {"slowest_ms.data", false},
    [PL_COLUMN_FORWARD] = {"slowest_ms.forward", false},
    [PL_COLUMN_GATHER] = {"slowest_ms.gather", false},
    [PL_COLUMN_LOSS_MS] = {"slowest_ms.loss", false},
    [PL_COLUMN_BACKWARD] = {"slowest_ms.backward", false},
    [PL_COLUMN_REDUCE] = {"slowest_ms.reduce", false},
    [PL_COLUMN_OPTIMIZER] = {"slowest_ms.optimizer", false},
    [PL_COLUMN_CHECKPOINT] = {"slowest_ms.checkpoint", false},
    [NUMBER_STEPS] = {"steps", true},
    [NUMBER_BATCH] = {"batch", true},
    [NUMBER_SHARDS] = {"shards", true},
    [NUMBER_PARAMETERS] = {"parameters", true},
    [NUMBER_RIGHT] = {"right", true},
    [NUMBER_QUERIES] = {"queries", true},
    [NUMBER_TOP5] = {"top5", false},
    [NUMBER_TOP10] = {"top10", false},
    [NUMBER_STEPS_PER_EPOCH] = {"steps_per_epoch", false},
    [NUMBER_FLOPS] = {"flops_per_sample", false},
    [NUMBER_JUDGE_RATE] = {"rate", false},
    [NUMBER_JUDGE_MS] = {"ms", false},
    [NUMBER_BYTES] = {"bytes", false},
    [NUMBER_STALL_MS] = {"stall_ms", false},
    [NUMBER_WRITE_MS] = {"write_ms", false},
};

enum {
  TEXT_EVENT,
  TEXT_TIME,
  TEXT_TRAIN,
  TEXT_DATASET,
  TEXT_PRECISION,
  TEXT_BUILD,
  TEXT_KIND,
  TEXT_REASON,
  TEXT_STATE,
  TEXTS
};

static const char *const text_names[TEXTS] = {"event", "time", "train",  "dataset", "precision",
                                              "build", "kind", "reason", "state"};

typedef struct metrics_line {
  double number[NUMBERS];
  char text[TEXTS][PL_REPORT_TEXT];
  pl_report_host *hosts;
  int64_t host_count, host_room;
  int expected; /* lines are alike: the number that follows the one before is looked at first */
} metrics_line;

static pl_status take_number(const pl_flat_value *value, bool whole, double *number) {
  /* 2^53: up to here a double holds every whole number. */
  const double largest_whole = 9007199254740992.0;
  const double largest = 3.4e38; /* of a float; what is beyond comes from no run */
  *number = NAN;
  if (!value->quoted && strcmp(value->text, "null") == 0) return PL_OK;
  double read = 0;
  char shown[PL_SHOWN_TEXT];
  if (value->quoted || !pl_parse_real(value->text, &read) || fabs(read) > largest) {
    return PL_FAIL(PL_E_DATA, "%s is '%s', which is no number", value->name,
                   pl_shown(value->text, shown));
  }
  if (whole && (read < 0 || read > largest_whole || read != floor(read))) {
    return PL_FAIL(PL_E_DATA, "%s is '%s', which is no count", value->name,
                   pl_shown(value->text, shown));
  }
  *number = read;
  return PL_OK;
}

static void take_text(const pl_flat_value *value, char text[PL_REPORT_TEXT]) {
  bool null = !value->quoted && strcmp(value->text, "null") == 0;
  snprintf(text, PL_REPORT_TEXT, "%s", null ? "" : value->text);
}

/* What is not told is 0. */
static int64_t whole(double number) { return isnan(number) ? 0 : (int64_t)number; }

static pl_status take_host(metrics_line *line, const pl_flat_value *value) {
  if (value->item < 0) return PL_OK;
  while (line->host_count <= value->item) {
    pl_report_host *hosts =
        pl_report_grow(line->hosts, sizeof *hosts, line->host_count, &line->host_room);
    if (!hosts) return PL_E_INTERNAL;
    line->hosts = hosts;
    line->host_count++;
  }
  pl_report_host *host = &line->hosts[value->item];
  const char *name = value->name + strlen("hosts.");
  double count = 0;
  if (strcmp(name, "host") == 0) take_text(value, host->host);
  if (strcmp(name, "device") == 0) take_text(value, host->device);
  if (strcmp(name, "ranks") == 0 || strcmp(name, "threads") == 0) {
    PL_TRY(take_number(value, true, &count));
    *(name[0] == 'r' ? &host->ranks : &host->threads) = whole(count);
  }
  return PL_OK;
}

static pl_status take_value(void *context, const pl_flat_value *value) {
  metrics_line *line = context;
  if (strncmp(value->name, "hosts.", strlen("hosts.")) == 0) return take_host(line, value);
  if (value->item >= 0) return PL_OK;
  for (int k = 0; k < NUMBERS; k++) {
    int i = (line->expected + k) % NUMBERS;
    if (strcmp(value->name, numbers[i].name) != 0) continue;
    line->expected = i + 1;
    return take_number(value, numbers[i].whole, &line->number[i]);
  }
  for (int i = 0; i < TEXTS; i++) {
    if (strcmp(value->name, text_names[i]) == 0) take_text(value, line->text[i]);
  }
  return PL_OK;
}

/* From step `step` on, the run was done again. */
static void forget_from(pl_report_run *run, int64_t step) {
  const double *steps = run->column[PL_COLUMN_STEP];
  for (; run->rows > 0 && steps[run->rows - 1] >= (double)step; run->rows--) run->repeated++;
  while (run->judgement_count > 0 && run->judgements[run->judgement_count - 1].step > step) {
    run->judgement_count--;
  }
  while (run->checkpoint_count > 0 && run->checkpoints[run->checkpoint_count - 1].step > step) {
    run->checkpoint_count--;
  }
}

static pl_status grow_columns(pl_report_run *run) {
  int64_t room = run->row_room;
  for (int c = 0; c < PL_COLUMNS; c++) {
    room = run->row_room; /* the same for each */
    double *column = pl_report_grow(run->column[c], sizeof *column, run->rows, &room);
    if (!column) return PL_E_INTERNAL;
    run->column[c] = column;
  }
  run->row_room = room;
  return PL_OK;
}

static pl_status add_step(pl_report_run *run, const metrics_line *line) {
  PL_TRY(grow_columns(run));
  forget_from(run, (int64_t)line->number[PL_COLUMN_STEP]);
  for (int c = 0; c < PL_COLUMNS; c++) run->column[c][run->rows] = line->number[c];
  run->rows++;
  if (line->number[PL_COLUMN_STEP_MS] > 0) run->spent_ms += line->number[PL_COLUMN_STEP_MS];
  return PL_OK;
}

static pl_status add_start(pl_report_run *run, metrics_line *line) {
  pl_report_session *sessions =
      pl_report_grow(run->sessions, sizeof *sessions, run->session_count, &run->session_room);
  if (!sessions) return PL_E_INTERNAL;
  run->sessions = sessions;
  pl_report_session *s = &sessions[run->session_count++];
  *s = (pl_report_session){.step = whole(line->number[PL_COLUMN_STEP]),
                           .steps = whole(line->number[NUMBER_STEPS]),
                           .batch = whole(line->number[NUMBER_BATCH]),
                           .samples = whole(line->number[PL_COLUMN_SAMPLES]),
                           .shards = whole(line->number[NUMBER_SHARDS]),
                           .parameters = whole(line->number[NUMBER_PARAMETERS]),
                           .steps_per_epoch = line->number[NUMBER_STEPS_PER_EPOCH],
                           .flops_per_sample = line->number[NUMBER_FLOPS],
                           .hosts = line->hosts,
                           .host_count = line->host_count};
  line->hosts = NULL; /* now the session's */
  memcpy(s->time, line->text[TEXT_TIME], PL_REPORT_TEXT);
  memcpy(s->train, line->text[TEXT_TRAIN], PL_REPORT_TEXT);
  memcpy(s->dataset, line->text[TEXT_DATASET], PL_REPORT_TEXT);
  memcpy(s->precision, line->text[TEXT_PRECISION], PL_REPORT_TEXT);
  memcpy(s->build, line->text[TEXT_BUILD], PL_REPORT_TEXT);
  forget_from(run, s->step);
  return PL_OK;
}

static void add_end(pl_report_run *run, const metrics_line *line) {
  if (run->session_count == 0 || run->sessions[run->session_count - 1].ended) return;
  pl_report_session *s = &run->sessions[run->session_count - 1];
  s->ended = true;
  s->end_step = whole(line->number[PL_COLUMN_STEP]);
  memcpy(s->end_time, line->text[TEXT_TIME], PL_REPORT_TEXT);
  memcpy(s->reason, line->text[TEXT_REASON], PL_REPORT_TEXT);
  memcpy(s->state, line->text[TEXT_STATE], PL_REPORT_TEXT);
}

static pl_status add_judgement(pl_report_run *run, const metrics_line *line) {
  pl_report_judgement *judgements = pl_report_grow(run->judgements, sizeof *judgements,
                                                   run->judgement_count, &run->judgement_room);
  if (!judgements) return PL_E_INTERNAL;
  run->judgements = judgements;
  pl_report_judgement *j = &judgements[run->judgement_count++];
  *j = (pl_report_judgement){.step = whole(line->number[PL_COLUMN_STEP]),
                             .epoch = line->number[PL_COLUMN_EPOCH],
                             .accuracy = line->number[PL_COLUMN_ACCURACY],
                             .top5 = line->number[NUMBER_TOP5],
                             .top10 = line->number[NUMBER_TOP10],
                             .rate = line->number[NUMBER_JUDGE_RATE],
                             .ms = line->number[NUMBER_JUDGE_MS],
                             .right = whole(line->number[NUMBER_RIGHT]),
                             .queries = whole(line->number[NUMBER_QUERIES])};
  memcpy(j->kind, line->text[TEXT_KIND], PL_REPORT_TEXT);
  return PL_OK;
}

static pl_status add_checkpoint(pl_report_run *run, const metrics_line *line) {
  pl_report_checkpoint *checkpoints = pl_report_grow(run->checkpoints, sizeof *checkpoints,
                                                     run->checkpoint_count, &run->checkpoint_room);
  if (!checkpoints) return PL_E_INTERNAL;
  run->checkpoints = checkpoints;
  checkpoints[run->checkpoint_count++] =
      (pl_report_checkpoint){.step = whole(line->number[PL_COLUMN_STEP]),
                             .bytes = line->number[NUMBER_BYTES],
                             .stall_ms = line->number[NUMBER_STALL_MS],
                             .write_ms = line->number[NUMBER_WRITE_MS]};
  return PL_OK;
}

static pl_status add_line(pl_report_run *run, metrics_line *line) {
  const char *event = line->text[TEXT_EVENT];
  if (isnan(line->number[PL_COLUMN_STEP])) {
    /* Events of later versions may be about something else. */
    return *event ? PL_OK : PL_FAIL(PL_E_DATA, "the line tells no step");
  }
  if (!*event) return add_step(run, line);
  if (strcmp(event, "start") == 0) return add_start(run, line);
  if (strcmp(event, "eval") == 0) return add_judgement(run, line);
  if (strcmp(event, "checkpoint") == 0) return add_checkpoint(run, line);
  if (strcmp(event, "end") == 0) add_end(run, line);
  return PL_OK;
}

static pl_status read_line(pl_report_run *run, const char *name, int64_t number, const char *text,
                           size_t size) {
  metrics_line line = {.expected = 0};
  for (int i = 0; i < NUMBERS; i++) line.number[i] = NAN;
  pl_status status = pl_flat_read(name, number, text, size, true, take_value, &line);
  if (status == PL_OK) {
    status = pl_context(add_line(run, &line), "%s:%lld", name, (long long)number);
  }
  pl_free(line.hosts);
  return status;
}

pl_status pl_report_read_metrics(FILE *file, const char *name, pl_report_run *run) {
  pl_status status = PL_OK;
  char *text = NULL;
  size_t room = 0;
  int64_t number = 0;
  for (ssize_t size; status == PL_OK && (size = getline(&text, &room, file)) > 0;) {
    number++;
    bool ended = text[size - 1] == '\n';
    if (ended) size--;
    if (size == 0) continue;
    status = read_line(run, name, number, text, (size_t)size);
    if (status == PL_E_DATA && !ended) {
      PL_WARN("%s:%lld: the last line is torn and left out", name, (long long)number);
      status = PL_OK;
    }
  }
  if (status == PL_OK && ferror(file)) {
    status = PL_FAIL(PL_E_IO, "cannot read %s: %s", name, strerror(errno));
  }
  free(text); /* of getline */
  return status;
}
