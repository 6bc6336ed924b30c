/* plenum: finds the subcommand, runs it, and turns its status into the exit code. */
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "comm/link.h"
#include "launch/command.h"
#include "launch/device.h"
#include "runtime/base/log.h"

static const pl_command *const commands[] = {
    &pl_cmd_train,         &pl_cmd_plan,
    &pl_cmd_eval_knn,      &pl_cmd_eval_linear,
    &pl_cmd_eval_zeroshot, &pl_cmd_eval_retrieval,
    &pl_cmd_embed,         &pl_cmd_export,
    &pl_cmd_import,        &pl_cmd_info,
    &pl_cmd_data_pack,     &pl_cmd_data_info,
    &pl_cmd_data_verify,   &pl_cmd_data_synth,
    &pl_cmd_config_keys,   &pl_cmd_config_check,
    &pl_cmd_bench_loss,    &pl_cmd_bench_eval,
    &pl_cmd_bench_data,    &pl_cmd_bench_net,
    &pl_cmd_bench_store,   &pl_cmd_bench_tokenizer,
    &pl_cmd_report,
};

static void print_usage(FILE *out) {
  fprintf(out, "plenum %s: contrastive learning on global batches, over any number of ranks\n\n",
          PLENUM_VERSION);
  fprintf(out, "usage: [mpirun -n N] plenum COMMAND [ARGUMENT …]\n\n");
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    fprintf(out, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
  }
  fprintf(out,
          "\nplenum COMMAND --help tells a command's options.\n"
          "Exit codes: 0 done, 64 usage or configuration, 65 data, 70 internal, "
          "74 input/output,\n75 stopped on request and saved, 124 a rank or a call between ranks "
          "hung.\n");
}

/* Matches "data pack" against argv: returns the words it took, 0 for no match. */
static int words_matched(const char *name, int argc, char **argv) {
  int words = 0;
  while (*name) {
    size_t length = strcspn(name, " ");
    if (words >= argc || strlen(argv[words]) != length || strncmp(argv[words], name, length) != 0) {
      return 0;
    }
    words++;
    name += length;
    if (*name == ' ') name++;
  }
  return words;
}

static pl_status unknown_command(int argc, char **argv) {
  if (argc == 0) return PL_FAIL(PL_E_USAGE, "no command given; see plenum --help");
  char group[256] = "";
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    size_t length = strlen(argv[0]);
    const char *name = commands[i]->name;
    if (strncmp(name, argv[0], length) != 0 || name[length] != ' ') continue;
    size_t used = strlen(group);
    snprintf(group + used, sizeof group - used, "%s%s", used ? ", " : "", name + length + 1);
  }
  if (group[0]) {
    return PL_FAIL(PL_E_USAGE, "'plenum %s' needs one of: %s", argv[0], group);
  }
  return PL_FAIL(PL_E_USAGE, "there is no command '%s'; see plenum --help", argv[0]);
}

static pl_status dispatch(pl_comm *comm, int argc, char **argv) {
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    int words = words_matched(commands[i]->name, argc, argv);
    if (words > 0) return commands[i]->run(comm, commands[i], argc - words, argv + words);
  }
  return unknown_command(argc, argv);
}

/* Requests that need no ranks. */
static int answered_at_once(int argc, char **argv) {
  if (argc != 2) return 0;
  if (strcmp(argv[1], "--version") == 0) {
    printf("plenum %s\n", PLENUM_VERSION);
  } else if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    print_usage(stdout);
  } else {
    return 0;
  }
  return 1;
}

/* Large blocks go back to the system when they are freed, so that what a run holds is what it has
 * use for. */
enum { MAPPED_BYTES = 1 << 20 };

int main(int argc, char **argv) {
  mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
  if (answered_at_once(argc, argv)) return 0;
  pl_comm *comm = NULL;
  pl_status status = pl_comm_create(&argc, &argv, &comm);
  /* Results are told once, by rank 0. */
  if (status == PL_OK && pl_comm_rank(comm) != 0 && !freopen("/dev/null", "w", stdout)) {
    status = PL_FAIL(PL_E_IO, "cannot open /dev/null");
    pl_comm_abort(comm, (int)status);
  }
  if (status == PL_OK) status = dispatch(comm, argc - 1, argv + 1);
  /* Commands hand up agreed errors: all ranks hold the same, one tells it. But that a link is cut
   * is known to those who noticed, and ends all. */
  bool cut = comm && status != PL_OK && pl_link_is_cut(comm);
  bool speaks = !comm || cut || pl_comm_rank(comm) == 0;
  if (cut) (void)pl_context(status, "rank %d on %s", pl_comm_rank(comm), pl_comm_host(comm));
  if (status == PL_E_STOPPED) {
    if (speaks) PL_INFO("%s", pl_last_reason()->message);
  } else if (status != PL_OK && speaks) {
    PL_ERROR("%s%s", status == PL_E_INTERNAL ? "internal: " : "", pl_last_reason()->message);
    PL_DEBUG_LOG("noticed at %s:%d", pl_last_reason()->file, pl_last_reason()->line);
  }
  if (cut) pl_comm_abort(comm, (int)status);
  pl_device_close(comm);
  pl_log_close();
  pl_comm_destroy(&comm);
  if (fflush(stdout) != 0 && status == PL_OK) status = PL_E_IO;
  return (int)status;
}
