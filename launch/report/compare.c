/* Several runs side by side. */
#include <math.h>
#include <string.h>

#include "launch/report/chart.h"
#include "launch/report/html.h"
#include "launch/report/page.h"

/* A column of figures for each run, after its colour and name. */
static void put_run(FILE *page, const pl_report_run *run, int index, const pl_report_summary *s,
                    const char *const *kinds, int kind_count) {
  fprintf(page, "<tr><td class=\"words\"><i style=\"--of:var(--c%d)\"%s></i>",
          index % PL_CHART_COLOURS, index / PL_CHART_COLOURS % 2 ? " class=\"dashed\"" : "");
  pl_html_text(page, run->name);
  fputs(" <small>", page);
  pl_html_text(page, run->folder);
  fputs("</small></td>", page);
  for (int k = 0; k < kind_count; k++) {
    const pl_report_judgement *best = pl_report_best(run, kinds[k]);
    const pl_report_judgement *last = pl_report_last(run, kinds[k]);
    fputs("<td>", page);
    pl_html_share(page, last ? last->accuracy : NAN);
    fputs("</td><td>", page);
    pl_html_share(page, best ? best->accuracy : NAN);
    fputs("</td>", page);
  }
  fputs("<td>", page);
  pl_html_number(page, s->loss);
  fputs("</td><td>", page);
  pl_html_share(page, s->picked);
  fputs("</td><td>", page);
  pl_html_count(page, s->steps_done);
  fputs("</td><td>", page);
  pl_html_number(page, s->epochs);
  fputs("</td><td>", page);
  pl_html_number(page, s->rate);
  fputs("</td><td>", page);
  pl_html_time(page, s->spent_ms);
  fputs("</td><td>", page);
  pl_html_bytes(page, s->memory_mb * 1e6);
  fputs("</td><td class=\"words\">", page);
  pl_html_text(page, *s->reason ? s->reason : "no end");
  char state[16]; /* enough of it to see whether two are the same */
  snprintf(state, sizeof state, "%.12s", s->state);
  fputs("</td><td class=\"words\"><code>", page);
  pl_html_text(page, state);
  fputs("</code></td></tr>\n", page);
}

pl_status pl_report_comparison(FILE *page, const pl_report_run *const *runs, int count) {
  const char *kinds[PL_REPORT_KINDS];
  int kind_count = pl_report_kinds(runs, count, kinds);
  fprintf(page,
          "<h1>%d runs</h1>\n<section>\n<div class=\"scroll\"><table>\n<thead><tr>"
          "<th class=\"words\">Run</th>",
          count);
  for (int k = 0; k < kind_count; k++) {
    fputs("<th>", page);
    pl_html_text(page, pl_report_kind(kinds[k]).title);
    fputs("</th><th>best</th>", page);
  }
  fputs(
      "<th>Loss</th><th>Picked</th><th>Steps</th><th>Epochs</th><th>Samples/s</th>"
      "<th>Time in steps</th><th>Memory</th><th class=\"words\">End</th>"
      "<th class=\"words\">State</th></tr></thead>\n<tbody>\n",
      page);
  for (int r = 0; r < count; r++) {
    pl_report_summary summary;
    PL_TRY(pl_report_summarize(runs[r], &summary));
    put_run(page, runs[r], r, &summary, kinds, kind_count);
  }
  fputs("</tbody></table></div></section>\n", page);
  return PL_OK;
}

static bool first_to_name(const pl_report_run *const *runs, int r, const char *name) {
  for (int before = 0; before < r; before++) {
    if (pl_report_value(runs[before], name)) return false;
  }
  return true;
}

static bool all_equal(const pl_report_run *const *runs, int count, const char *name) {
  const char *first = pl_report_value(runs[0], name);
  for (int r = 1; r < count; r++) {
    const char *value = pl_report_value(runs[r], name);
    if (!first || !value ? first != value : strcmp(first, value) != 0) return false;
  }
  return true;
}

static void put_difference(FILE *page, const pl_report_run *const *runs, int count,
                           const char *name) {
  fputs("<tr><td class=\"words\"><code>", page);
  pl_html_text(page, name);
  fputs("</code></td>", page);
  for (int r = 0; r < count; r++) {
    const char *value = pl_report_value(runs[r], name);
    fputs("<td class=\"words\">", page);
    pl_html_text(page, value ? value : "\xE2\x80\x93");
    fputs("</td>", page);
  }
  fputs("</tr>\n", page);
}

void pl_report_differences(FILE *page, const pl_report_run *const *runs, int count) {
  fputs(
      "<section><h2>Where the configurations differ</h2>\n"
      "<div class=\"scroll\"><table>\n<thead><tr><th class=\"words\">Key</th>",
      page);
  for (int r = 0; r < count; r++) {
    fputs("<th class=\"words\">", page);
    pl_html_text(page, runs[r]->name);
    fputs("</th>", page);
  }
  fputs("</tr></thead>\n<tbody>\n", page);
  for (int r = 0; r < count; r++) {
    for (int64_t i = 0; i < runs[r]->key_count; i++) {
      const char *name = runs[r]->keys[i].name;
      if (first_to_name(runs, r, name) && !all_equal(runs, count, name)) {
        put_difference(page, runs, count, name);
      }
    }
  }
  fputs("</tbody></table></div></section>\n", page);
}
