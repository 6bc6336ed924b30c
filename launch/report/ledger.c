#include <math.h>

#include "launch/report/html.h"
#include "launch/report/page.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/store/checkpoint.h"

/* The newest one whose manifest can be read; *out stays NULL where there is none. */
static pl_status open_newest(const pl_report_run *run, pl_checkpoint **out) {
  char parent[PL_PATH_MAX], folder[PL_PATH_MAX];
  pl_checkpoint_entry *entries = NULL;
  int count = 0;
  PL_TRY(pl_path_join(run->folder, "checkpoints", parent));
  PL_TRY(pl_checkpoint_list(parent, "", &entries, &count));
  pl_status status = PL_OK;
  for (int i = 0; i < count && status == PL_OK && !*out; i++) {
    if (!entries[i].readable) continue;
    status = pl_checkpoint_path(parent, entries[i].step, false, folder);
    if (status != PL_OK) break;
    status = pl_checkpoint_open(folder, out);
    /* A run that goes on removes old ones meanwhile. */
    if (status == PL_E_DATA) {
      PL_WARN("%s", pl_last_reason()->message);
      status = PL_OK;
    }
  }
  pl_free(entries);
  return status;
}

static void put_row(FILE *page, const char *name, const pl_checkpoint_shard *shard) {
  fputs("<tr><td class=\"words\">", page);
  pl_html_text(page, name);
  const int64_t counts[] = {shard->seen, shard->repeated, shard->skipped};
  for (int i = 0; i < 3; i++) {
    fputs("</td><td>", page);
    pl_html_count(page, counts[i]);
  }
  fputs("</td></tr>\n", page);
}

/* Whether each sample that was drawn is accounted for. */
static void put_verdict(FILE *page, const pl_checkpoint_manifest *m,
                        const pl_checkpoint_shard *total) {
  int64_t drawn = total->seen + total->skipped;
  fputs("<p>At step ", page);
  pl_html_count(page, m->step);
  fputs(" the sample stream stands at ", page);
  pl_html_count(page, m->position);
  fputs("; seen and skipped together are ", page);
  pl_html_count(page, drawn);
  if (drawn == m->position) {
    fputs(": <b class=\"good\">each sample is accounted for</b>.</p>\n", page);
  } else {
    fputs(", <b class=\"bad\">", page);
    pl_html_count(page, drawn > m->position ? drawn - m->position : m->position - drawn);
    fprintf(page, " too %s</b>.</p>\n", drawn > m->position ? "many" : "few");
  }
}

static void put_ledger(FILE *page, const pl_checkpoint_manifest *m) {
  pl_checkpoint_shard total = {.name = "all"};
  for (int i = 0; i < m->shards; i++) {
    total.seen += m->shard[i].seen;
    total.repeated += m->shard[i].repeated;
    total.skipped += m->shard[i].skipped;
  }
  fputs("<section><h2>Sample ledger</h2>\n", page);
  put_verdict(page, m, &total);
  fputs(
      "<div class=\"scroll\"><table>\n<thead><tr><th class=\"words\">Shard</th><th>Seen</th>"
      "<th>Repeated for a corrupt one</th><th>Skipped as corrupt</th></tr></thead>\n<tbody>\n",
      page);
  for (int i = 0; i < m->shards; i++) put_row(page, m->shard[i].name, &m->shard[i]);
  fputs("</tbody><tfoot>\n", page);
  put_row(page, total.name, &total);
  fputs("</tfoot></table></div></section>\n", page);
}

pl_status pl_report_ledger(FILE *page, const pl_report_run *run) {
  pl_checkpoint *checkpoint = NULL;
  pl_status status = open_newest(run, &checkpoint);
  if (status == PL_OK && checkpoint) put_ledger(page, pl_checkpoint_get_manifest(checkpoint));
  pl_checkpoint_close(&checkpoint);
  return status;
}
