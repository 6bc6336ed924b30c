/* Which charts a page has, and what they are drawn from. */
#include <math.h>
#include <string.h>

#include "launch/report/chart.h"
#include "launch/report/page.h"
#include "runtime/base/memory.h"

/* What all charts of a page share. */
typedef struct curves {
  FILE *page;
  const pl_report_run *const *runs;
  int count;
  pl_chart_time time;
  double **x;        /* (count): of each run's rows, in time's unit */
  pl_series *series; /* (count), or PL_REPORT_KINDS of them */
  double *marks;     /* where the one run was resumed */
  int64_t mark_count;
} curves;

typedef struct column_chart {
  pl_column column;
  pl_chart chart;
} column_chart;

static const column_chart learning[] = {
    {PL_COLUMN_LOSS, {.title = "Loss", .unit = "nats", .scale = 1, .log = true, .noisy = true}},
    {PL_COLUMN_ACCURACY,
     {.title = "Positives picked out of the batch", .unit = "%", .scale = 100, .noisy = true}},
    {PL_COLUMN_ALIGNMENT,
     {.title = "Alignment", .unit = "squared distance of positives", .scale = 1, .noisy = true}},
    {PL_COLUMN_UNIFORMITY,
     {.title = "Uniformity",
      .unit = "log of the mean closeness of any two",
      .scale = 1,
      .noisy = true}},
    {PL_COLUMN_LR, {.title = "Learning rate", .unit = "", .scale = 1, .from_zero = true}},
    {PL_COLUMN_GRADIENT_NORM,
     {.title = "Gradient norm", .unit = "", .scale = 1, .log = true, .noisy = true}},
};

static const column_chart cost[] = {
    {PL_COLUMN_RATE,
     {.title = "Rate", .unit = "samples/s", .scale = 1, .from_zero = true, .noisy = true}},
    {PL_COLUMN_MEMORY_MB,
     {.title = "Memory", .unit = "MB, highest of the ranks so far", .scale = 1, .from_zero = true}},
};

static const pl_chart trouble[] = {
    {.title = "Corrupt samples skipped", .unit = "so far", .scale = 1, .from_zero = true},
    {.title = "Steps passed over", .unit = "not finite; so far", .scale = 1, .from_zero = true},
};

/* The steps of an epoch, or 0 where they can't be told. */
static double steps_per_epoch(const pl_report_run *run) {
  if (run->session_count > 0) {
    double told = run->sessions[run->session_count - 1].steps_per_epoch;
    if (told > 0) return told;
  }
  if (run->rows == 0) return 0;
  double epoch = run->column[PL_COLUMN_EPOCH][run->rows - 1];
  return epoch > 0 ? (run->column[PL_COLUMN_STEP][run->rows - 1] + 1) / epoch : 0;
}

/* Steps, with epochs below them; epochs alone where the runs' epochs have different lengths. */
static void choose_time(curves *c) {
  double length = steps_per_epoch(c->runs[0]);
  bool told = length > 0, alike = true;
  for (int r = 1; r < c->count; r++) {
    double other = steps_per_epoch(c->runs[r]);
    told = told && other > 0;
    alike = alike && fabs(other - length) <= 1e-3 * length;
  }
  c->time = (pl_chart_time){.title = told && !alike ? "epoch" : "step"};
  if (told && alike) {
    c->time.second_title = "epoch";
    c->time.second = 1 / length;
  }
}

/* Where `step` steps are done. */
static double time_of(const curves *c, const pl_report_run *run, double step) {
  return strcmp(c->time.title, "step") == 0 ? step : step / steps_per_epoch(run);
}

static pl_status place_rows(curves *c) {
  c->time.high = 0;
  for (int r = 0; r < c->count; r++) {
    const pl_report_run *run = c->runs[r];
    c->x[r] = pl_alloc((size_t)run->rows, sizeof *c->x[r]);
    if (!c->x[r]) return PL_E_INTERNAL;
    for (int64_t i = 0; i < run->rows; i++) {
      c->x[r][i] = time_of(c, run, run->column[PL_COLUMN_STEP][i] + 1);
    }
    if (run->rows > 0) c->time.high = fmax(c->time.high, c->x[r][run->rows - 1]);
    for (int64_t i = 0; i < run->judgement_count; i++) {
      c->time.high = fmax(c->time.high, time_of(c, run, (double)run->judgements[i].step));
    }
  }
  if (!(c->time.high > 0) || !isfinite(c->time.high)) c->time.high = 1;
  return PL_OK;
}

static pl_status place_marks(curves *c) {
  const pl_report_run *run = c->runs[0];
  c->marks = pl_alloc((size_t)run->session_count, sizeof *c->marks);
  if (!c->marks) return PL_E_INTERNAL;
  for (int64_t i = 1; i < run->session_count && c->count == 1; i++) {
    double x = time_of(c, run, (double)run->sessions[i].step);
    if (x <= c->time.high) c->marks[c->mark_count++] = x;
  }
  return PL_OK;
}

static pl_status put_column(const curves *c, pl_chart chart, pl_column column) {
  chart.marks = c->marks;
  chart.mark_count = c->mark_count;
  for (int r = 0; r < c->count; r++) {
    const pl_report_run *run = c->runs[r];
    c->series[r] = (pl_series){.name = c->count == 1 ? "" : run->name,
                               .colour = r,
                               .x = c->x[r],
                               .y = run->column[column],
                               .count = run->rows};
  }
  return pl_chart_draw(c->page, &chart, &c->time, c->series, c->count);
}

/* What is right: the first answer, or one among the first five or ten. */
enum { CUTS = 3 };
static const int cut_size[CUTS] = {1, 5, 10};

static double share_within(const pl_report_judgement *j, int cut) {
  const double share[CUTS] = {j->accuracy, j->top5, j->top10};
  return share[cut];
}

/* A curve of judgements. */
typedef struct judged {
  const char *kind;
  int cut;
  char name[32];
} judged;

/* Its points, in two arrays of `run->judgement_count`. */
static void collect(const curves *c, const pl_report_run *run, const judged *what, double *x,
                    double *y, pl_series *series) {
  series->x = x;
  series->y = y;
  for (int64_t i = 0; i < run->judgement_count; i++) {
    const pl_report_judgement *j = &run->judgements[i];
    if (strcmp(j->kind, what->kind) != 0) continue;
    x[series->count] = time_of(c, run, (double)j->step);
    y[series->count++] = share_within(j, what->cut);
  }
}

/* Series of judgements: one for each run, or several for the one run. */
static pl_status put_judged(const curves *c, const char *title, const judged *what,
                            int what_count) {
  pl_chart chart = {.title = title,
                    .unit = "%",
                    .scale = 100,
                    .dots = true,
                    .marks = c->marks,
                    .mark_count = c->mark_count};
  int64_t room = 0;
  for (int r = 0; r < c->count; r++) room += c->runs[r]->judgement_count * what_count;
  double *points = pl_alloc((size_t)(2 * room), sizeof *points);
  if (!points) return PL_E_INTERNAL;
  int used = 0;
  double *next = points;
  for (int r = 0; r < c->count; r++) {
    const pl_report_run *run = c->runs[r];
    for (int k = 0; k < what_count; k++, used++) {
      c->series[used] =
          (pl_series){.name = c->count == 1 ? what[k].name : run->name, .colour = used};
      collect(c, run, &what[k], next, next + run->judgement_count, &c->series[used]);
      next += 2 * run->judgement_count;
    }
  }
  pl_status status = pl_chart_draw(c->page, &chart, &c->time, c->series, used);
  pl_free(points);
  return status;
}

static bool has_cut(const pl_report_run *run, const char *kind, int cut) {
  const pl_report_judgement *last = pl_report_last(run, kind);
  return last && !isnan(share_within(last, cut));
}

/* One run: a chart for each kind that has several cuts, and one for all others. */
static pl_status put_all_judged(const curves *c, const char *const *kinds, int count) {
  judged plain[PL_REPORT_KINDS];
  int plain_count = 0;
  for (int k = 0; k < count; k++) {
    const pl_report_kind_words words = pl_report_kind(kinds[k]);
    judged what[CUTS];
    int cuts = 0;
    if (!words.chart) {
      plain[plain_count] = (judged){.kind = kinds[k]};
      snprintf(plain[plain_count++].name, sizeof plain->name, "%s", words.title);
      continue;
    }
    for (int cut = 0; cut < CUTS; cut++) {
      if (!has_cut(c->runs[0], kinds[k], cut)) continue;
      what[cuts] = (judged){.kind = kinds[k], .cut = cut};
      snprintf(what[cuts++].name, sizeof what->name, "%s%d", words.cut, cut_size[cut]);
    }
    PL_TRY(put_judged(c, words.chart, what, cuts));
  }
  if (plain_count == 0) return PL_OK;
  return put_judged(c, "Accuracy of the encoder, held-out samples", plain, plain_count);
}

static pl_status put_judgements(const curves *c) {
  const char *kinds[PL_REPORT_KINDS];
  int count = pl_report_kinds(c->runs, c->count, kinds);
  if (c->count == 1) return put_all_judged(c, kinds, count);
  for (int k = 0; k < count; k++) {
    const judged what = {.kind = kinds[k]};
    char title[64];
    snprintf(title, sizeof title, "Accuracy, %.40s", pl_report_kind(kinds[k]).title);
    PL_TRY(put_judged(c, title, &what, 1));
  }
  return PL_OK;
}

/* Of one run; the last layer is what of a step lies in none of its parts. */
static pl_status put_split(const curves *c) {
  const pl_report_run *run = c->runs[0];
  const pl_chart chart = {.title = "Where a step\xE2\x80\x99s time goes",
                          .unit = "ms, slowest rank",
                          .scale = 1,
                          .marks = c->marks,
                          .mark_count = c->mark_count};
  const double *layer[PL_REPORT_PARTS + 1];
  const char *names[PL_REPORT_PARTS + 1];
  double *other = pl_alloc((size_t)run->rows, sizeof *other);
  if (!other) return PL_E_INTERNAL;
  for (int64_t i = 0; i < run->rows; i++) other[i] = run->column[PL_COLUMN_STEP_MS][i];
  for (int k = 0; k < PL_REPORT_PARTS; k++) {
    names[k] = pl_report_part_name[k];
    layer[k] = run->column[PL_COLUMN_PARTS + k];
    for (int64_t i = 0; i < run->rows; i++) other[i] -= isfinite(layer[k][i]) ? layer[k][i] : 0;
  }
  names[PL_REPORT_PARTS] = "other";
  layer[PL_REPORT_PARTS] = other;
  pl_status status = pl_chart_stack(c->page, &chart, &c->time, names, c->x[0], layer,
                                    PL_REPORT_PARTS + 1, run->rows);
  pl_free(other);
  return status;
}

/* Counts that are zero all along need no chart. */
static bool ever(const curves *c, pl_column column) {
  for (int r = 0; r < c->count; r++) {
    const pl_report_run *run = c->runs[r];
    if (run->rows > 0 && run->column[column][run->rows - 1] > 0) return true;
  }
  return false;
}

static pl_status put_all(curves *c) {
  choose_time(c);
  PL_TRY(place_rows(c));
  PL_TRY(place_marks(c));
  fputs("<section class=\"charts\">\n", c->page);
  for (size_t i = 0; i < sizeof learning / sizeof *learning; i++) {
    PL_TRY(put_column(c, learning[i].chart, learning[i].column));
    if (i == 0) PL_TRY(put_judgements(c));
  }
  if (c->count == 1) PL_TRY(put_split(c));
  for (size_t i = 0; i < sizeof cost / sizeof *cost; i++) {
    PL_TRY(put_column(c, cost[i].chart, cost[i].column));
  }
  if (ever(c, PL_COLUMN_SKIPPED)) PL_TRY(put_column(c, trouble[0], PL_COLUMN_SKIPPED));
  if (ever(c, PL_COLUMN_PASSED_OVER)) PL_TRY(put_column(c, trouble[1], PL_COLUMN_PASSED_OVER));
  fputs("</section>\n", c->page);
  if (c->mark_count > 0) {
    fputs("<p class=\"note\"><i class=\"mark\"></i>here the run was resumed</p>\n", c->page);
  }
  return PL_OK;
}

pl_status pl_report_curves(FILE *page, const pl_report_run *const *runs, int count) {
  curves c = {.page = page, .runs = runs, .count = count};
  pl_status status = PL_E_INTERNAL;
  int most = count > PL_REPORT_KINDS ? count : PL_REPORT_KINDS;
  c.x = pl_alloc((size_t)count, sizeof *c.x);
  c.series = pl_alloc((size_t)most, sizeof *c.series);
  if (c.x && c.series) status = put_all(&c);
  for (int r = 0; c.x && r < count; r++) pl_free(c.x[r]);
  pl_free(c.x);
  pl_free(c.series);
  pl_free(c.marks);
  return status;
}
