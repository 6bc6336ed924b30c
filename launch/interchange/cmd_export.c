/* plenum export: trained weights as a file that PyTorch programs load. */
#include <stdio.h>
#include <string.h>

#include "launch/command.h"
#include "launch/interchange/interchange.h"
#include "launch/restore.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"

/* By the method: all of a model with two towers, of others the encoder. */
enum { PART_BY_METHOD = -1, PART_ENCODER };

typedef struct request {
  const char *run, *out;
  const char **overrides;
  int override_count;
  int64_t part;
  bool overwrite;
} request;

static pl_status check_place(const request *r) {
  if (pl_is_folder(r->out)) return PL_FAIL(PL_E_USAGE, "%s is a folder", r->out);
  if (r->overwrite || !pl_path_exists(r->out)) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "%s is there already: replace it with --overwrite", r->out);
}

static pl_status write_list(const request *r, const pl_restored *run, const char *weights,
                            const pl_interchange_list *list) {
  char step[32];
  snprintf(step, sizeof step, "%lld", (long long)run->step);
  static const char program[] = "plenum " PLENUM_VERSION;
  /* Python libraries ask for the format. */
  const char *const metadata[] = {"format",  "pt",    "program", program,
                                  "step",    step,    "state",   run->state_hash,
                                  "weights", weights, NULL};
  return pl_safetensors_write(r->out, list->tensor, list->count, metadata);
}

/* By rank 0, which like all ranks has the whole image. */
static pl_status write_file(const request *r, const pl_restored *run) {
  bool towers = pl_interchange_has_towers(run->state.space);
  bool alone = r->part == PART_BY_METHOD ? !towers : r->part == PART_ENCODER;
  bool average = run->config.eval.weights == PL_CFG_WEIGHTS_AVERAGE;
  const char *weights = average ? "average" : "trained";
  pl_interchange_list list = {0};
  pl_status status = pl_interchange_list_make(&run->state, alone, &list);
  if (status == PL_OK) status = write_list(r, run, weights, &list);
  if (status == PL_OK) {
    printf("%s: %s, %d tensors of %lld numbers, %s weights of state %s after step %lld\n", r->out,
           alone ? "the encoder" : "the whole model", list.count, (long long)list.elements, weights,
           run->state_hash, (long long)run->step);
  }
  pl_interchange_list_free(&list);
  return status;
}

static pl_status export_weights(pl_comm *comm, const request *r) {
  bool first = pl_comm_rank(comm) == 0;
  pl_restored run = {0};
  pl_status status = pl_comm_agree(comm, first ? check_place(r) : PL_OK);
  if (status == PL_OK) status = pl_restore(comm, r->run, r->overrides, r->override_count, &run);
  if (status == PL_OK) status = pl_comm_agree(comm, first ? write_file(r, &run) : PL_OK);
  pl_restored_free(&run);
  return status;
}

static pl_status parse(const pl_command *command, int argc, char **argv, request *r,
                       const char **operands, bool *helped) {
  const pl_option table[] = {
      {.name = "part",
       .kind = PL_OPTION_CHOICE,
       .value = &r->part,
       .choices = "encoder|all",
       .help = "the image encoder alone or the whole model; default: all where texts are read"},
      {.name = "overwrite",
       .kind = PL_OPTION_FLAG,
       .value = &r->overwrite,
       .help = "replace the file that is there"},
      {0},
  };
  int count = 0;
  PL_TRY(pl_options_parse(command, table, argc, argv, 2, -1, operands, &count, helped));
  if (*helped) return PL_OK;
  r->run = operands[0];
  r->out = operands[1];
  r->overrides = operands + 2;
  /* The image that all ranks hold is to be f32 and here, and the net behind it, which is not run,
   * small. */
  operands[count++] = "run.device=cpu";
  operands[count++] = "train.precision=f32";
  operands[count++] = "eval.micro=1";
  r->override_count = count - 2;
  return PL_OK;
}

static pl_status run_command(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  request r = {.part = PART_BY_METHOD};
  bool helped = false;
  const char **operands = pl_alloc((size_t)argc + 4, sizeof *operands);
  pl_status status = operands ? parse(command, argc, argv, &r, operands, &helped) : PL_E_INTERNAL;
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) status = export_weights(comm, &r);
  pl_free(operands);
  return status;
}

const pl_command pl_cmd_export = {
    .name = "export",
    .operands = "RUN_OR_CHECKPOINT FILE.safetensors [key=value ...]",
    .summary = "trained weights as a file that PyTorch programs load",
    .run = run_command,
};
