/* What a subcommand is, and the one parser of its options.
 *
 * Each subcommand has a file cmd_NAME.c with its table of options; the parser and the usage text
 * are both driven by that table, so they cannot disagree. Results go to stdout (rank 0 only),
 * everything else through the log. */
#ifndef LAUNCH_COMMAND_H
#define LAUNCH_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"

typedef struct pl_command {
  const char *name;     /* "train", or "data pack" */
  const char *operands; /* for the usage line: "CONFIG [key=value …]" */
  const char *summary;  /* one line for --help */
  /* Runs with the arguments after the command's name. Collective unless it says otherwise in its
   * file. The status becomes the exit code. */
  pl_status (*run)(pl_comm *comm, const struct pl_command *command, int argc, char **argv);
  const void *subject; /* for `run`, where commands share it */
} pl_command;

typedef enum pl_option_kind {
  PL_OPTION_FLAG,  /* --name; value: bool * */
  PL_OPTION_INT,   /* --name N; value: int64_t *, within [low, high] */
  PL_OPTION_REAL,  /* --name X; value: double *, within [low, high] */
  PL_OPTION_TEXT,  /* --name TEXT; value: const char **, points into argv */
  PL_OPTION_CHOICE /* --name WORD; value: int64_t * = index in the |-separated list `choices` */
} pl_option_kind;

typedef struct pl_option {
  const char *name; /* without the dashes */
  pl_option_kind kind;
  void *value;
  const char *help;
  double low, high;    /* INT, REAL */
  const char *choices; /* CHOICE: "folder|cifar10|cifar100" */
} pl_option;

/* Parses `argv` against the table (ended by an entry with name NULL). What is no option is an
 * operand: at least `least` and at most `most` of them (most < 0: any number), pointed to by
 * `operands` (room for argc pointers). "--name=value" and "--" work as usual. PL_E_USAGE names the
 * argument, and the nearest known option for an unknown one. `--help` prints usage to stdout and
 * sets *helped. */
pl_status pl_options_parse(const pl_command *command, const pl_option *table, int argc, char **argv,
                           int least, int most, const char **operands, int *operand_count,
                           bool *helped);

/* The subcommands; each in its own file. */
extern const pl_command pl_cmd_train, pl_cmd_plan, pl_cmd_eval_knn, pl_cmd_eval_linear,
    pl_cmd_eval_zeroshot, pl_cmd_eval_retrieval, pl_cmd_embed;
extern const pl_command pl_cmd_data_pack, pl_cmd_data_info, pl_cmd_data_verify, pl_cmd_data_synth;
extern const pl_command pl_cmd_export, pl_cmd_import;
extern const pl_command pl_cmd_info, pl_cmd_report, pl_cmd_config_keys, pl_cmd_config_check;
extern const pl_command pl_cmd_bench_loss, pl_cmd_bench_eval, pl_cmd_bench_data, pl_cmd_bench_net,
    pl_cmd_bench_store, pl_cmd_bench_tokenizer;

#endif
