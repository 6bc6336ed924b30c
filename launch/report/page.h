/* Pieces of the report's page, in the order in which they stand there. */
#ifndef LAUNCH_REPORT_PAGE_H
#define LAUNCH_REPORT_PAGE_H

#include "launch/report/run.h"

/* Where long series of a run end, in a few figures. */
typedef struct pl_report_summary {
  int64_t steps_done, steps;   /* steps: 0 where not told */
  double epochs, loss, picked; /* loss and picked: means of the last steps that have them */
  int64_t last_steps;          /* how many steps those means are of */
  double rate;                 /* median samples per second */
  double memory_mb, spent_ms;  /* memory: the highest */
  double passed_over, skipped; /* as last told */
  const char *state, *reason;  /* "" where the run has not ended */
} pl_report_summary;

pl_status pl_report_summarize(const pl_report_run *run, pl_report_summary *summary);

/* The judgement of a kind with the highest accuracy, or the last one; NULL where there is none. */
const pl_report_judgement *pl_report_best(const pl_report_run *run, const char *kind);
const pl_report_judgement *pl_report_last(const pl_report_run *run, const char *kind);

enum { PL_REPORT_KINDS = 8 };
/* The kinds of judgement that the runs hold, in the order they first appear; returns how many. */
int pl_report_kinds(const pl_report_run *const *runs, int count,
                    const char *kinds[PL_REPORT_KINDS]);
/* What the page calls a kind of judgement. */
typedef struct pl_report_kind_words {
  const char *title; /* "kNN", "linear" … */
  const char *chart; /* of a chart with several cuts; NULL for a kind that has one */
  const char *cut;   /* before the number of a cut: "top 5", "R@5" */
} pl_report_kind_words;
pl_report_kind_words pl_report_kind(const char *kind);

/* Up to and including "<main>", and from "</main>" on. */
void pl_report_head(FILE *page, const char *title);
void pl_report_foot(FILE *page);

/* All charts, with the curves of one run or of several over each other. */
pl_status pl_report_curves(FILE *page, const pl_report_run *const *runs, int count);

/* One run: heading with figures; tables of what happened when and where. */
pl_status pl_report_heading(FILE *page, const pl_report_run *run);
void pl_report_history(FILE *page, const pl_report_run *run);
/* The sample ledger of the newest checkpoint that can be read. */
pl_status pl_report_ledger(FILE *page, const pl_report_run *run);
void pl_report_configuration(FILE *page, const pl_report_run *run);

/* Several: their figures, and the keys in which they differ, side by side. */
pl_status pl_report_comparison(FILE *page, const pl_report_run *const *runs, int count);
/* Where a step's time goes, a bar for each run. */
void pl_report_splits(FILE *page, const pl_report_run *const *runs, int count);
void pl_report_differences(FILE *page, const pl_report_run *const *runs, int count);

#endif
