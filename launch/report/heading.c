/* What a reader wants to know first: a run's name, whether it is done, and its figures. */
#include <string.h>

#include "launch/report/html.h"
#include "launch/report/page.h"

/* A figure is its label, its value and a remark. */
static void begin_figure(FILE *page, const char *label) {
  fputs("<div><dt>", page);
  pl_html_text(page, label);
  fputs("</dt><dd>", page);
}

static void begin_remark(FILE *page) { fputs(" <small>", page); }

static void end_figure(FILE *page) { fputs("</small></dd></div>\n", page); }

static void put_judged(FILE *page, const pl_report_run *run, const char *kind) {
  const pl_report_judgement *best = pl_report_best(run, kind), *last = pl_report_last(run, kind);
  const pl_report_kind_words words = pl_report_kind(kind);
  char label[64];
  if (!best) return;
  if (strcmp(words.cut, "R@") == 0) {
    snprintf(label, sizeof label, "R@1, %.40s", words.title);
  } else {
    snprintf(label, sizeof label, "Accuracy, %.40s", words.title);
  }
  begin_figure(page, label);
  pl_html_share(page, last->accuracy);
  begin_remark(page);
  if (best == last) {
    fputs("the best so far", page);
  } else {
    fputs("best ", page);
    pl_html_share(page, best->accuracy);
    fputs(" at step ", page);
    pl_html_count(page, best->step);
  }
  end_figure(page);
}

static void put_progress(FILE *page, const pl_report_summary *s) {
  begin_figure(page, "Steps");
  pl_html_count(page, s->steps_done);
  begin_remark(page);
  if (s->steps > s->steps_done) {
    fputs("of ", page);
    pl_html_count(page, s->steps);
    fputs(", ", page);
  }
  pl_html_number(page, s->epochs);
  fputs(" epochs", page);
  end_figure(page);
}

static void put_learned(FILE *page, const pl_report_summary *s) {
  begin_figure(page, "Loss");
  pl_html_number(page, s->loss);
  begin_remark(page);
  fprintf(page, "mean of the last %lld steps", (long long)s->last_steps);
  end_figure(page);
  begin_figure(page, "Positives picked");
  pl_html_share(page, s->picked);
  begin_remark(page);
  fputs("in the same steps", page);
  end_figure(page);
}

static void put_spent(FILE *page, const pl_report_run *run, const pl_report_summary *s) {
  begin_figure(page, "Samples per second");
  pl_html_number(page, s->rate);
  begin_remark(page);
  fputs("median of the steps", page);
  end_figure(page);
  begin_figure(page, "Time in steps");
  pl_html_time(page, s->spent_ms);
  begin_remark(page);
  if (run->repeated > 0) {
    pl_html_count(page, run->repeated);
    fputs(" steps done twice", page);
  }
  end_figure(page);
  begin_figure(page, "Memory");
  pl_html_bytes(page, s->memory_mb * 1e6);
  begin_remark(page);
  fputs("largest peak of a rank", page);
  end_figure(page);
}

/* Only where there is something to tell. */
static void put_trouble(FILE *page, const pl_report_summary *s) {
  if (s->skipped > 0) {
    begin_figure(page, "Samples skipped");
    pl_html_number(page, s->skipped);
    begin_remark(page);
    fputs("as corrupt", page);
    end_figure(page);
  }
  if (s->passed_over > 0) {
    begin_figure(page, "Steps passed over");
    pl_html_number(page, s->passed_over);
    begin_remark(page);
    fputs("loss or gradient not finite", page);
    end_figure(page);
  }
}

static void put_state(FILE *page, const pl_report_run *run, const pl_report_summary *s) {
  fputs("<p class=\"state\">", page);
  if (run->session_count > 0 && !run->sessions[run->session_count - 1].ended) {
    fputs("still going on, or broken off: the last session has no end", page);
  } else if (strcmp(s->reason, "done") == 0) {
    fputs("done", page);
  } else if (*s->reason) {
    fputs("stopped: ", page);
    pl_html_text(page, s->reason);
  }
  if (*s->state) {
    fputs(" \xC2\xB7 state <code>", page);
    pl_html_text(page, s->state);
    fputs("</code>", page);
  }
  fputs("</p>\n", page);
}

/* What was trained on what, as the last session told it. */
static void put_setting(FILE *page, const pl_report_run *run) {
  fputs("<p class=\"state\"><code>", page);
  pl_html_text(page, run->folder);
  fputs("</code>", page);
  if (run->session_count > 0) {
    const pl_report_session *s = &run->sessions[run->session_count - 1];
    fputs(" \xC2\xB7 ", page);
    pl_html_number(page, (double)s->parameters);
    fputs(" parameters, ", page);
    pl_html_text(page, s->precision);
    fputs(" \xC2\xB7 batch ", page);
    pl_html_count(page, s->batch);
    fputs(" of ", page);
    pl_html_count(page, s->samples);
    fputs(" samples in <code>", page);
    pl_html_text(page, s->train);
    fputs("</code>", page);
  }
  fputs("</p>\n", page);
}

pl_status pl_report_heading(FILE *page, const pl_report_run *run) {
  pl_report_summary summary;
  const char *kinds[PL_REPORT_KINDS];
  PL_TRY(pl_report_summarize(run, &summary));
  int count = pl_report_kinds(&run, 1, kinds);
  fputs("<h1>", page);
  pl_html_text(page, run->name);
  fputs("</h1>\n", page);
  put_setting(page, run);
  put_state(page, run, &summary);
  fputs("<dl class=\"figures\">\n", page);
  for (int k = 0; k < count; k++) put_judged(page, run, kinds[k]);
  put_learned(page, &summary);
  put_progress(page, &summary);
  put_spent(page, run, &summary);
  put_trouble(page, &summary);
  fputs("</dl>\n", page);
  return PL_OK;
}
