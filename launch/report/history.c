/* Tables of what happened in a run: starts and stops, machines, judgements, checkpoints. */
#include <string.h>

#include "launch/report/html.h"
#include "launch/report/page.h"

static void begin_table(FILE *page, const char *title, const char *heads) {
  fprintf(page,
          "<section><h2>%s</h2>\n<div class=\"scroll\"><table>\n<thead><tr>%s</tr></thead>\n"
          "<tbody>\n",
          title, heads);
}

static void end_table(FILE *page) { fputs("</tbody></table></div></section>\n", page); }

static void put_words(FILE *page, const char *text) {
  fputs("<td class=\"words\">", page);
  pl_html_text(page, text);
  fputs("</td>", page);
}

static void put_count(FILE *page, int64_t count) {
  fputs("<td>", page);
  pl_html_count(page, count);
  fputs("</td>", page);
}

static void put_time(FILE *page, double ms) {
  fputs("<td>", page);
  pl_html_time(page, ms);
  fputs("</td>", page);
}

static void put_sessions(FILE *page, const pl_report_run *run) {
  begin_table(page, "Starts and stops",
              "<th class=\"words\">Started</th><th>Step</th><th class=\"words\">Stopped</th>"
              "<th>Step</th><th class=\"words\">Reason</th><th>Ranks</th>"
              "<th class=\"words\">Build</th><th class=\"words\">State</th>");
  for (int64_t i = 0; i < run->session_count; i++) {
    const pl_report_session *s = &run->sessions[i];
    bool last = i + 1 == run->session_count;
    int64_t ranks = 0;
    for (int64_t h = 0; h < s->host_count; h++) ranks += s->hosts[h].ranks;
    fputs("<tr>", page);
    put_words(page, s->time);
    put_count(page, s->step);
    put_words(page, s->end_time);
    if (s->ended) {
      put_count(page, s->end_step);
    } else {
      fputs("<td></td>", page);
    }
    put_words(page, s->ended ? s->reason : last ? "going on, or broken off" : "broken off");
    put_count(page, ranks);
    put_words(page, s->build);
    fputs("<td class=\"words\"><code>", page);
    pl_html_text(page, s->state);
    fputs("</code></td></tr>\n", page);
  }
  end_table(page);
}

static bool same_hosts(const pl_report_session *a, const pl_report_session *b) {
  if (a->host_count != b->host_count) return false;
  for (int64_t i = 0; i < a->host_count; i++) {
    const pl_report_host *x = &a->hosts[i], *y = &b->hosts[i];
    if (strcmp(x->host, y->host) != 0 || strcmp(x->device, y->device) != 0) return false;
    if (x->ranks != y->ranks || x->threads != y->threads) return false;
  }
  return true;
}

/* The machines of each session, where they differ from those of the one before. */
static void put_hosts(FILE *page, const pl_report_run *run) {
  begin_table(page, "Machines",
              "<th>From step</th><th class=\"words\">Host</th><th>Ranks</th>"
              "<th>Threads per rank</th><th class=\"words\">Device</th>");
  for (int64_t i = 0; i < run->session_count; i++) {
    const pl_report_session *s = &run->sessions[i];
    if (i > 0 && same_hosts(s, s - 1)) continue;
    for (int64_t h = 0; h < s->host_count; h++) {
      fputs("<tr>", page);
      put_count(page, s->step);
      put_words(page, s->hosts[h].host);
      put_count(page, s->hosts[h].ranks);
      put_count(page, s->hosts[h].threads);
      put_words(page, s->hosts[h].device);
      fputs("</tr>\n", page);
    }
  }
  end_table(page);
}

static void put_share(FILE *page, double share) {
  fputs("<td>", page);
  pl_html_share(page, share);
  fputs("</td>", page);
}

static void put_judgements(FILE *page, const pl_report_run *run) {
  begin_table(page, "Judged on held-out samples",
              "<th>Step</th><th>Epoch</th><th class=\"words\">How</th><th>Accuracy</th>"
              "<th>Among 5</th><th>Among 10</th><th>Right</th><th>Of</th><th>Learning "
              "rate</th><th>Time</th>");
  for (int64_t i = 0; i < run->judgement_count; i++) {
    const pl_report_judgement *j = &run->judgements[i];
    fputs("<tr>", page);
    put_count(page, j->step);
    fputs("<td>", page);
    pl_html_number(page, j->epoch);
    fputs("</td>", page);
    put_words(page, pl_report_kind(j->kind).title);
    put_share(page, j->accuracy);
    put_share(page, j->top5);
    put_share(page, j->top10);
    put_count(page, j->right);
    put_count(page, j->queries);
    fputs("<td>", page);
    pl_html_number(page, j->rate);
    fputs("</td>", page);
    put_time(page, j->ms);
    fputs("</tr>\n", page);
  }
  end_table(page);
}

static void put_checkpoints(FILE *page, const pl_report_run *run) {
  begin_table(page, "Checkpoints",
              "<th>Step</th><th>Size</th><th>Training stood still</th><th>Written in</th>");
  for (int64_t i = 0; i < run->checkpoint_count; i++) {
    const pl_report_checkpoint *c = &run->checkpoints[i];
    fputs("<tr>", page);
    put_count(page, c->step);
    fputs("<td>", page);
    pl_html_bytes(page, c->bytes);
    fputs("</td>", page);
    put_time(page, c->stall_ms);
    put_time(page, c->write_ms);
    fputs("</tr>\n", page);
  }
  end_table(page);
}

void pl_report_history(FILE *page, const pl_report_run *run) {
  if (run->session_count > 0) {
    put_sessions(page, run);
    put_hosts(page, run);
  }
  if (run->judgement_count > 0) put_judgements(page, run);
  if (run->checkpoint_count > 0) put_checkpoints(page, run);
}
