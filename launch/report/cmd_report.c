/* plenum report: a page about a run, or about several compared. Rank 0 does the work; the others
 * learn how it ended. */
#include <stdio.h>

#include "launch/command.h"
#include "launch/report/report.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"

/* Beside what it tells of; a comparison belongs to no run's folder. */
static pl_status default_path(const char *const *runs, int count, char *path) {
  return count == 1 ? pl_path_join(runs[0], "report.html", path)
                    : pl_path_join(".", "report.html", path);
}

static pl_status parse_and_write(const pl_command *command, int argc, char **argv) {
  const char *out = NULL;
  bool helped = false;
  int count = 0;
  char path[PL_PATH_MAX];
  const pl_option table[] = {
      {.name = "out",
       .kind = PL_OPTION_TEXT,
       .value = &out,
       .help = "the page; default: report.html in RUN, or here where there are several"},
      {0}};
  const char **runs = pl_alloc((size_t)argc + 1, sizeof *runs);
  if (!runs) return PL_E_INTERNAL;
  pl_status status = pl_options_parse(command, table, argc, argv, 1, -1, runs, &count, &helped);
  if (status == PL_OK && !helped) {
    if (!out) status = default_path(runs, count, path);
    if (status == PL_OK) status = pl_report_write(runs, count, out ? out : path);
    if (status == PL_OK) printf("%s\n", out ? out : path);
  }
  pl_free(runs);
  return status;
}

static pl_status run(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  pl_status status = pl_comm_rank(comm) == 0 ? parse_and_write(command, argc, argv) : PL_OK;
  return pl_comm_agree(comm, status);
}

const pl_command pl_cmd_report = {
    .name = "report",
    .operands = "RUN...",
    .summary = "draw a run, or several compared, as one page",
    .run = run,
};
