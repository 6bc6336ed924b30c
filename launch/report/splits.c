#include <math.h>

#include "launch/report/chart.h"
#include "launch/report/html.h"
#include "launch/report/page.h"

/* Milliseconds of a step; the mean of those that tell them. */
static double mean_of(const double *column, int64_t rows) {
  double sum = 0;
  int64_t counted = 0;
  for (int64_t i = 0; i < rows; i++) {
    if (isnan(column[i])) continue;
    sum += column[i];
    counted++;
  }
  return counted > 0 ? sum / (double)counted : 0;
}

static void put_part(FILE *page, int part, double ms, double longest) {
  if (!(ms > 0)) return;
  fprintf(page, "<span style=\"--of:var(--c%d);width:%.2f%%\"></span>", part % PL_CHART_COLOURS,
          100 * ms / longest);
}

static void put_bar(FILE *page, const pl_report_run *run, double longest) {
  double whole = mean_of(run->column[PL_COLUMN_STEP_MS], run->rows), other = whole;
  fputs("<tr><td class=\"words\">", page);
  pl_html_text(page, run->name);
  fputs("</td><td>", page);
  pl_html_time(page, whole);
  fputs("</td><td class=\"bars\"><div class=\"bar\">", page);
  for (int k = 0; k < PL_REPORT_PARTS; k++) {
    double ms = mean_of(run->column[PL_COLUMN_PARTS + k], run->rows);
    put_part(page, k, ms, longest);
    other -= ms;
  }
  put_part(page, PL_REPORT_PARTS, other, longest);
  fputs("</div></td></tr>\n", page);
}

/* The parts of a rank that overlaps them may take longer than the step. */
static double bar_length(const pl_report_run *run) {
  double parts = 0;
  for (int k = 0; k < PL_REPORT_PARTS; k++) {
    parts += mean_of(run->column[PL_COLUMN_PARTS + k], run->rows);
  }
  return fmax(parts, mean_of(run->column[PL_COLUMN_STEP_MS], run->rows));
}

void pl_report_splits(FILE *page, const pl_report_run *const *runs, int count) {
  double longest = 0;
  for (int r = 0; r < count; r++) {
    longest = fmax(longest, bar_length(runs[r]));
  }
  if (!(longest > 0)) return;
  fputs(
      "<section><h2>Where a step\xE2\x80\x99s time goes</h2>\n<div class=\"scroll\"><table>\n"
      "<thead><tr><th class=\"words\">Run</th><th>Mean step</th>"
      "<th class=\"words\">Slowest rank</th></tr></thead>\n<tbody>\n",
      page);
  for (int r = 0; r < count; r++) put_bar(page, runs[r], longest);
  fputs("</tbody></table></div>\n<ul class=\"legend\">\n", page);
  for (int k = 0; k <= PL_REPORT_PARTS; k++) {
    pl_legend_begin(page, k, k < PL_REPORT_PARTS ? pl_report_part_name[k] : "other");
    pl_legend_end(page);
  }
  fputs("</ul></section>\n", page);
}
