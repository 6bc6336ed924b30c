/* plenum config keys, plenum config check. Rank 0 does the work; the others learn how it ended. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "launch/command.h"
#include "runtime/base/memory.h"
#include "runtime/config/config.h"

/* Results that did not reach a full disk or a closed pipe are an error. */
static pl_status flush_results(void) {
  if (fflush(stdout) == 0) return PL_OK;
  return PL_FAIL(PL_E_IO, "cannot write the results: %s", strerror(errno));
}

static pl_status print_keys(const pl_command *command, int argc, char **argv) {
  static const pl_option table[] = {{.name = NULL}};
  int count = 0;
  bool helped = false;
  PL_TRY(pl_options_parse(command, table, argc, argv, 0, 0, NULL, &count, &helped));
  if (!helped) pl_config_print_keys(stdout);
  return flush_results();
}

static pl_status run_keys(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  pl_status status = pl_comm_rank(comm) == 0 ? print_keys(command, argc, argv) : PL_OK;
  return pl_comm_agree(comm, status);
}

static pl_status check_file(const char *path, const char *const *overrides, int count, bool print) {
  pl_config config;
  PL_TRY(pl_config_load(&config, path, overrides, count));
  printf("%s: ok\n", path);
  if (print) {
    char *text = NULL;
    PL_TRY(pl_config_write(&config, &text));
    fputs(text, stdout);
    pl_free(text);
  }
  return flush_results();
}

static pl_status check(const pl_command *command, int argc, char **argv) {
  bool print = false, helped = false;
  const pl_option table[] = {{.name = "print",
                              .kind = PL_OPTION_FLAG,
                              .value = &print,
                              .help = "also print the effective configuration"},
                             {.name = NULL}};
  const char **operands = pl_alloc((size_t)argc, sizeof *operands);
  if (!operands) return PL_E_INTERNAL;
  int count = 0;
  pl_status status = pl_options_parse(command, table, argc, argv, 1, -1, operands, &count, &helped);
  if (status == PL_OK && helped) status = flush_results();
  if (status == PL_OK && !helped) {
    status = check_file(operands[0], operands + 1, count - 1, print);
  }
  pl_free(operands);
  return status;
}

static pl_status run_check(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  pl_status status = pl_comm_rank(comm) == 0 ? check(command, argc, argv) : PL_OK;
  return pl_comm_agree(comm, status);
}

const pl_command pl_cmd_config_keys = {
    .name = "config keys",
    .operands = "",
    .summary = "list the keys of the configuration: type, default, range, meaning",
    .run = run_keys};

const pl_command pl_cmd_config_check = {
    .name = "config check",
    .operands = "CONFIG [key=value ...]",
    .summary = "check a configuration, with overrides, without running it",
    .run = run_check};
