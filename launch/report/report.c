#include "launch/report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "launch/report/html.h"
#include "launch/report/page.h"
#include "runtime/base/memory.h"

void pl_report_configuration(FILE *page, const pl_report_run *run) {
  fputs("<section><details><summary>Configuration</summary>\n<pre>", page);
  pl_html_text(page, run->yaml);
  fputs("</pre></details></section>\n", page);
}

static pl_status put_one(FILE *page, const pl_report_run *run) {
  pl_report_head(page, run->name);
  PL_TRY(pl_report_heading(page, run));
  PL_TRY(pl_report_curves(page, &run, 1));
  if (run->pictures) fputs(run->pictures, page);
  pl_report_history(page, run);
  PL_TRY(pl_report_ledger(page, run));
  pl_report_configuration(page, run);
  pl_report_foot(page);
  return PL_OK;
}

static pl_status put_several(FILE *page, const pl_report_run *const *runs, int count) {
  char title[64];
  snprintf(title, sizeof title, "%d runs", count);
  pl_report_head(page, title);
  PL_TRY(pl_report_comparison(page, runs, count));
  PL_TRY(pl_report_curves(page, runs, count));
  pl_report_splits(page, runs, count);
  pl_report_differences(page, runs, count);
  pl_report_foot(page);
  return PL_OK;
}

static pl_status write_page(const pl_report_run *const *runs, int count, const char *path) {
  char *text = NULL;
  size_t size = 0;
  FILE *page = open_memstream(&text, &size);
  if (!page) return PL_FAIL(PL_E_INTERNAL, "cannot hold a page in memory: %s", strerror(errno));
  pl_status status = count == 1 ? put_one(page, runs[0]) : put_several(page, runs, count);
  bool failed = ferror(page) != 0;
  if ((fclose(page) != 0 || failed) && status == PL_OK) {
    status = PL_FAIL(PL_E_INTERNAL, "out of memory: the report does not fit");
  }
  if (status == PL_OK) status = pl_write_file_durably(path, text, size);
  free(text); /* of open_memstream */
  return status;
}

pl_status pl_report_write(const char *const *runs, int count, const char *path) {
  pl_report_run **read = pl_alloc((size_t)count, sizeof *read);
  pl_status status = read ? PL_OK : PL_E_INTERNAL;
  for (int r = 0; r < count && status == PL_OK; r++) {
    status = pl_report_run_create(runs[r], &read[r]);
  }
  if (status == PL_OK) status = write_page((const pl_report_run *const *)read, count, path);
  for (int r = 0; read && r < count; r++) pl_report_run_destroy(&read[r]);
  pl_free(read);
  return status;
}
