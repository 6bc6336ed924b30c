/* plenum embed: the representations of all samples of a dataset, in one HDF5 file. */
#include <stdio.h>

#include "launch/command.h"
#include "launch/json.h"
#include "launch/judge/embed.h"
#include "launch/judge/embedding_file.h"
#include "launch/restore.h"
#include "launch/startup.h"
#include "runtime/base/memory.h"

typedef struct request {
  const char *run, *data, *out;
  const char *const *overrides;
  int override_count;
  bool overwrite, json;
} request;

static pl_status write(pl_embedding_file *file, const pl_dataset *dataset,
                       const pl_representations *r, pl_comm *comm) {
  int64_t *ids = pl_alloc((size_t)r->count, sizeof *ids);
  pl_status status = pl_comm_agree(comm, ids ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK && ids) {
    for (int64_t i = 0; i < r->count; i++) ids[i] = pl_dataset_id(dataset, r->sample[i]);
    const pl_embedding_rows rows = {r->first, r->count, r->values, ids, r->labels};
    status = pl_embedding_file_finish(file, &rows);
  }
  pl_free(ids);
  return status;
}

/* The file comes first: what is wrong with its place is told before any work. */
static pl_status embed_into_file(pl_comm *comm, const request *r, const pl_restored *run,
                                 pl_net *encoder, const pl_dataset *dataset,
                                 const pl_embeddings_facts *facts) {
  pl_embedding_file *file = NULL;
  pl_representations representations = {0};
  pl_status status = pl_embedding_file_create(comm, r->out, r->overwrite, facts, &file);
  if (status == PL_OK) {
    status = pl_embed(comm, &run->config, dataset, encoder, "embedding", &representations);
  }
  if (status == PL_OK) status = write(file, dataset, &representations, comm);
  pl_representations_free(&representations);
  pl_embedding_file_destroy(&file);
  return status;
}

static void tell(const request *r, const pl_embeddings_facts *facts) {
  if (r->json) {
    printf("{\"out\":");
    pl_json_text(stdout, r->out);
    printf(
        ",\"samples\":%lld,\"width\":%d,\"dataset\":\"%s\",\"state\":\"%s\",\"weights\":\"%s\","
        "\"step\":%lld}\n",
        (long long)facts->samples, facts->width, facts->dataset, facts->state, facts->weights,
        (long long)facts->step);
  } else {
    printf("%s: %lld samples, %d numbers each, of dataset %s by state %s after step %lld\n", r->out,
           (long long)facts->samples, facts->width, facts->dataset, facts->state,
           (long long)facts->step);
  }
}

static pl_status compile(const pl_restored *run, pl_net **encoder) {
  PL_TRY(
      pl_method_compile_part(run->method, PL_PART_ENCODER, (int)run->config.eval.micro, encoder));
  return pl_net_load(*encoder, run->state.image, run->state.buffers);
}

static pl_status embed(pl_comm *comm, const request *r) {
  pl_restored run = {0};
  pl_net *encoder = NULL;
  pl_dataset *dataset = NULL;
  char build[PL_BUILD_TEXT] = "";
  pl_status status;
  PL_TRY_OR(done, status, pl_comm_agree(comm, pl_build_text(build)));
  PL_TRY_OR(done, status, pl_restore(comm, r->run, r->overrides, r->override_count, &run));
  pl_startup_threads(comm, run.config.run.threads);
  PL_TRY_OR(done, status, pl_comm_agree(comm, compile(&run, &encoder)));
  PL_TRY_OR(done, status, pl_startup_dataset(comm, r->data, &dataset));
  const pl_dataset_info *info = pl_dataset_get_info(dataset);
  bool average = run.config.eval.weights == PL_CFG_WEIGHTS_AVERAGE;
  const pl_embeddings_facts facts = {.samples = info->samples,
                                     .width = pl_net_output_features(encoder),
                                     .step = run.step,
                                     .dataset = info->hash,
                                     .state = run.state_hash,
                                     .weights = average ? "average" : "trained",
                                     .build = build};
  PL_TRY_OR(done, status, embed_into_file(comm, r, &run, encoder, dataset, &facts));
  if (pl_comm_rank(comm) == 0) tell(r, &facts);
done:
  pl_dataset_close(&dataset);
  pl_net_destroy(&encoder);
  pl_restored_free(&run);
  return status;
}

static pl_status parse(const pl_command *command, int argc, char **argv, request *r,
                       const char **operands, bool *helped) {
  const pl_option table[] = {
      {.name = "data",
       .kind = PL_OPTION_TEXT,
       .value = &r->data,
       .help = "dataset whose samples are embedded"},
      {.name = "out", .kind = PL_OPTION_TEXT, .value = &r->out, .help = "HDF5 file to make"},
      {.name = "overwrite",
       .kind = PL_OPTION_FLAG,
       .value = &r->overwrite,
       .help = "replace the file that is there"},
      {.name = "json", .kind = PL_OPTION_FLAG, .value = &r->json, .help = "print a JSON object"},
      {0},
  };
  int count = 0;
  PL_TRY(pl_options_parse(command, table, argc, argv, 1, -1, operands, &count, helped));
  if (*helped) return PL_OK;
  if (!r->data) return PL_FAIL(PL_E_USAGE, "--data is missing: the dataset to embed");
  if (!r->out) return PL_FAIL(PL_E_USAGE, "--out is missing: the HDF5 file to make");
  r->run = operands[0];
  r->overrides = operands + 1;
  r->override_count = count - 1;
  return PL_OK;
}

static pl_status run_command(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  request r = {0};
  bool helped = false;
  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  pl_status status = operands ? parse(command, argc, argv, &r, operands, &helped) : PL_E_INTERNAL;
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) status = embed(comm, &r);
  pl_free(operands);
  return status;
}

const pl_command pl_cmd_embed = {
    .name = "embed",
    .operands = "RUN_OR_CHECKPOINT --data DIR --out FILE [key=value ...]",
    .summary = "representations of a dataset's samples, as HDF5",
    .run = run_command,
};
