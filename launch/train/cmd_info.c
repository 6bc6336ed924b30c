/* plenum info: what is in a checkpoint, or in all those of a run, and whether it is whole. The
 * ranks share the verification. All findings are told before the command fails. Collective. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "launch/checkpoints.h"
#include "launch/command.h"
#include "launch/json.h"
#include "launch/train/inspection.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"

/* ---- one checkpoint ---- */

static pl_status tell_checkpoint(pl_comm *comm, const char *folder, bool json) {
  pl_inspection it;
  pl_status status = pl_inspect(comm, folder, &it);
  if (status == PL_OK) {
    if (pl_comm_rank(comm) == 0) (json ? pl_inspection_print_json : pl_inspection_print)(&it);
    if (it.bad_parts > 0) {
      status = PL_FAIL(PL_E_DATA, "%s is damaged in %d of %d parts", folder, it.bad_parts,
                       pl_checkpoint_get_manifest(it.checkpoint)->parts);
    }
  }
  pl_inspection_free(&it);
  return status;
}

/* ---- a run ---- */

/* The first thing that is wrong with a checkpoint; NULL where it is whole. */
static const char *first_problem(const pl_inspection *it) {
  if (!it->checkpoint) return pl_last_reason()->message;
  int parts = pl_checkpoint_get_manifest(it->checkpoint)->parts;
  for (int p = 0; p < parts; p++) {
    if (it->verdict[p][0]) return it->verdict[p];
  }
  return NULL;
}

static void print_entry(int64_t step, const pl_inspection *it, const char *problem) {
  printf("step %10" PRId64, step);
  if (it->checkpoint) {
    const pl_checkpoint_manifest *m = pl_checkpoint_get_manifest(it->checkpoint);
    printf("  %9.1f MB  ", (double)it->bytes * 1e-6);
    pl_print_clean(m->metric[0] ? m->metric : "no metric");
    if (isfinite(m->value)) printf(" %.6g", m->value);
    if (m->metric[0] && !isfinite(m->value)) printf(" not measured");
  }
  printf("  ");
  pl_print_clean(problem ? problem : "whole");
  putchar('\n');
}

static void json_entry(int64_t step, const pl_inspection *it, const char *problem, bool first) {
  printf("%s{\"step\": %" PRId64, first ? "" : ", ", step);
  if (it->checkpoint) {
    const pl_checkpoint_manifest *m = pl_checkpoint_get_manifest(it->checkpoint);
    printf(", \"bytes\": %" PRId64 ", \"metric\": ", it->bytes);
    pl_json_text(stdout, m->metric);
    printf(", \"value\": ");
    pl_json_number(stdout, m->value);
  }
  printf(", \"problem\": ");
  if (problem) {
    pl_json_text(stdout, problem);
  } else {
    printf("null");
  }
  putchar('}');
}

/* A checkpoint that is not whole is counted, and told like the others. */
static pl_status tell_entry(pl_comm *comm, const char *parent, int64_t step, bool json, bool first,
                            int *bad) {
  char folder[PL_PATH_MAX];
  pl_inspection it;
  PL_TRY(pl_checkpoint_path(parent, step, false, folder));
  pl_status status = pl_inspect(comm, folder, &it);
  if (status == PL_OK || status == PL_E_DATA || status == PL_E_IO) {
    if (status != PL_OK) pl_inspection_free(&it); /* nothing half-read is told */
    const char *problem = first_problem(&it);
    *bad += problem != NULL;
    if (pl_comm_rank(comm) == 0 && json) json_entry(step, &it, problem, first);
    if (pl_comm_rank(comm) == 0 && !json) print_entry(step, &it, problem);
    status = PL_OK;
  }
  pl_inspection_free(&it);
  return status;
}

static pl_status tell_run(pl_comm *comm, const char *run, const char *parent, bool json) {
  pl_status status;
  int64_t *steps = NULL;
  int count = 0, bad = 0;
  PL_TRY_OR(done, status, pl_checkpoints_steps(comm, parent, &steps, &count));
  bool telling = pl_comm_rank(comm) == 0;
  if (telling && json) {
    printf("{\"run\": ");
    pl_json_text(stdout, run);
    printf(", \"checkpoints\": [");
  }
  for (int k = 0; k < count; k++) {
    PL_TRY_OR(done, status, tell_entry(comm, parent, steps[k], json, k == 0, &bad));
  }
  if (telling && json) printf("], \"whole\": %s}\n", bad ? "false" : "true");
  if (telling && !json && count == 0) printf("no checkpoints\n");
  if (bad > 0) {
    status = PL_FAIL(PL_E_DATA, "%d of %d checkpoints in %s are not whole", bad, count, parent);
  }
done:
  pl_free(steps);
  return status;
}

/* ---- the command ---- */

/* Rank 0 looks what the path is, so that all go the same way. */
static pl_status tell(pl_comm *comm, const char *path, bool json) {
  char manifest[PL_PATH_MAX], parent[PL_PATH_MAX];
  PL_TRY(pl_path_join(path, "manifest.yaml", manifest));
  PL_TRY(pl_path_join(path, "checkpoints", parent));
  int is[] = {pl_path_exists(manifest), pl_is_folder(parent)};
  PL_TRY(pl_comm_broadcast(comm, is, sizeof is, 0));
  if (is[0]) return tell_checkpoint(comm, path, json);
  if (is[1]) return tell_run(comm, path, parent, json);
  return PL_FAIL(PL_E_DATA,
                 "%s is neither a checkpoint (no manifest.yaml) nor a run (no checkpoints/ in it)",
                 path);
}

static pl_status run_info(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  bool json = false, helped = false;
  int count = 0;
  const pl_option table[] = {
      {.name = "json", .kind = PL_OPTION_FLAG, .value = &json, .help = "print a JSON object"}, {0}};
  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  pl_status status = operands ? PL_OK : PL_E_INTERNAL;
  if (status == PL_OK) {
    status = pl_options_parse(command, table, argc, argv, 1, 1, operands, &count, &helped);
  }
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) status = tell(comm, operands[0], json);
  pl_free(operands);
  return status;
}

const pl_command pl_cmd_info = {
    .name = "info",
    .operands = "CHECKPOINT_OR_RUN",
    .summary = "tell what checkpoints hold and whether they are whole",
    .run = run_info,
};
