#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/report/page.h"
#include "runtime/base/memory.h"

enum { LAST_STEPS = 50 }; /* a single step says little */

static double mean_of_last(const double *column, int64_t rows, int64_t *counted) {
  double sum = 0;
  *counted = 0;
  for (int64_t i = rows - 1; i >= 0 && *counted < LAST_STEPS; i--) {
    if (isnan(column[i])) continue;
    sum += column[i];
    ++*counted;
  }
  return *counted > 0 ? sum / (double)*counted : NAN;
}

static double highest(const double *column, int64_t rows) {
  double high = NAN;
  for (int64_t i = 0; i < rows; i++) high = fmax(high, column[i]);
  return high;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The median of what is told: the first steps, and those beside which something else ran, don't
 * count much. */
static pl_status median(const double *column, int64_t rows, double *result) {
  double *sorted = pl_alloc((size_t)rows, sizeof *sorted);
  if (!sorted) return PL_E_INTERNAL;
  size_t count = 0;
  for (int64_t i = 0; i < rows; i++) {
    if (!isnan(column[i])) sorted[count++] = column[i];
  }
  qsort(sorted, count, sizeof *sorted, compare_doubles);
  *result = count > 0 ? (sorted[(count - 1) / 2] + sorted[count / 2]) / 2 : NAN;
  pl_free(sorted);
  return PL_OK;
}

pl_status pl_report_summarize(const pl_report_run *run, pl_report_summary *s) {
  int64_t rows = run->rows, last = rows - 1, picked_steps = 0;
  *s = (pl_report_summary){.state = "", .reason = "", .epochs = NAN};
  s->spent_ms = run->spent_ms;
  s->loss = mean_of_last(run->column[PL_COLUMN_LOSS], rows, &s->last_steps);
  s->picked = mean_of_last(run->column[PL_COLUMN_ACCURACY], rows, &picked_steps);
  s->memory_mb = highest(run->column[PL_COLUMN_MEMORY_MB], rows);
  if (rows > 0) {
    s->steps_done = (int64_t)run->column[PL_COLUMN_STEP][last] + 1;
    s->epochs = run->column[PL_COLUMN_EPOCH][last];
    s->passed_over = run->column[PL_COLUMN_PASSED_OVER][last];
    s->skipped = run->column[PL_COLUMN_SKIPPED][last];
  }
  if (run->session_count > 0) {
    const pl_report_session *session = &run->sessions[run->session_count - 1];
    s->steps = session->steps;
    if (session->ended) {
      s->state = session->state;
      s->reason = session->reason;
    }
  }
  return median(run->column[PL_COLUMN_RATE], rows, &s->rate);
}

const pl_report_judgement *pl_report_best(const pl_report_run *run, const char *kind) {
  const pl_report_judgement *best = NULL;
  for (int64_t i = 0; i < run->judgement_count; i++) {
    const pl_report_judgement *j = &run->judgements[i];
    if (strcmp(j->kind, kind) != 0 || isnan(j->accuracy)) continue;
    if (!best || j->accuracy > best->accuracy) best = j;
  }
  return best;
}

const pl_report_judgement *pl_report_last(const pl_report_run *run, const char *kind) {
  for (int64_t i = run->judgement_count - 1; i >= 0; i--) {
    const pl_report_judgement *j = &run->judgements[i];
    if (strcmp(j->kind, kind) == 0 && !isnan(j->accuracy)) return j;
  }
  return NULL;
}

int pl_report_kinds(const pl_report_run *const *runs, int count,
                    const char *kinds[PL_REPORT_KINDS]) {
  int found = 0;
  for (int r = 0; r < count; r++) {
    for (int64_t i = 0; i < runs[r]->judgement_count; i++) {
      const char *kind = runs[r]->judgements[i].kind;
      int k = 0;
      while (k < found && strcmp(kinds[k], kind) != 0) k++;
      if (k == found && found < PL_REPORT_KINDS) kinds[found++] = kind;
    }
  }
  return found;
}

pl_report_kind_words pl_report_kind(const char *kind) {
  static const struct {
    const char *kind;
    pl_report_kind_words words;
  } known[] = {
      {"knn", {"kNN", NULL, ""}},
      {"zeroshot", {"zero-shot", "Class told by its name, held-out samples", "top "}},
      {"texts_for_images", {"captions for images", "Caption found for an image, held-out", "R@"}},
      {"images_for_texts", {"images for captions", "Image found for a caption, held-out", "R@"}},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(kind, known[i].kind) == 0) return known[i].words;
  }
  return (pl_report_kind_words){kind, NULL, ""};
}
