/* Any bytes as metrics.jsonl: refused as bad data with a place, or read to columns that charts and
 * tables can be drawn from, well formed and without a number that is none. */
#include <math.h>
#include <stdlib.h>

#include "launch/report/page.h"
#include "runtime/base/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/page.h"

static void broken(const char *promise) {
  fprintf(stderr, "%s\n%s\n", promise, pl_last_reason()->message);
  abort();
}

static void check_columns(const pl_report_run *run) {
  for (int c = 0; c < PL_COLUMNS; c++) {
    for (int64_t i = 0; i < run->rows; i++) {
      if (isinf(run->column[c][i])) broken("figures are finite or not told");
    }
  }
  const double *step = run->column[PL_COLUMN_STEP];
  for (int64_t i = 0; i < run->rows; i++) {
    if (!(step[i] >= 0) || (i > 0 && step[i] <= step[i - 1])) broken("steps ascend");
  }
}

/* As one run, and beside itself. */
static void draw(const pl_report_run *run) {
  const pl_report_run *both[] = {run, run};
  char *text = NULL;
  size_t size = 0;
  FILE *page = open_memstream(&text, &size);
  if (!page) broken("a page can be opened");
  pl_report_head(page, "fuzz");
  pl_status status = pl_report_heading(page, run);
  if (status == PL_OK) status = pl_report_curves(page, both, 1);
  pl_report_history(page, run);
  if (status == PL_OK) status = pl_report_comparison(page, both, 2);
  if (status == PL_OK) status = pl_report_curves(page, both, 2);
  pl_report_splits(page, both, 2);
  pl_report_foot(page);
  if (fclose(page) != 0 || status != PL_OK) broken("what can be read can be drawn");
  if (!page_is_well_formed(text)) broken("the page is well formed");
  if (!page_is_drawn(text)) broken("what is drawn has a place");
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  pl_log_set_level(PL_LOG_ERROR);
  pl_report_run run = {.folder = "fuzz", .name = "<&\"'>"};
  FILE *file = fmemopen((void *)data, size, "r");
  if (!file) broken("bytes can be opened");
  pl_status status = pl_report_read_metrics(file, "fuzz", &run);
  fclose(file);
  if (status == PL_OK) {
    check_columns(&run);
    draw(&run);
  } else {
    if (status != PL_E_DATA) broken("bad metrics are a data error");
    if (strncmp(pl_last_reason()->message, "fuzz:", 5) != 0) broken("the place is missing");
  }
  pl_report_run_clear(&run);
  return 0;
}
