/* plenum data verify: checks every checksum of a dataset. Shards are dealt to ranks in turn; each
 * is looked at on its own, so that one that cannot be opened does not hide what is wrong with the
 * others. Collective. */
#include <stdio.h>

#include "launch/command.h"
#include "launch/pack/rounds.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/data/shard.h"

typedef struct verifier {
  const pl_dataset_manifest *manifest;
  int rank, ranks;
  int64_t bad_shards, bad_samples;
} verifier;

static void report_sample(void *context, const pl_reason *reason) {
  verifier *v = context;
  PL_ERROR("%s", reason->message);
  v->bad_samples++;
}

/* Bad data is counted, so that the rest is looked at too; anything else ends the whole. */
static pl_status verify_shard(verifier *v, int index) {
  pl_shard shard;
  pl_status status = pl_shard_open(v->manifest, index, &shard);
  if (status == PL_OK) {
    status = pl_shard_verify(&shard, &v->manifest->shards[index], report_sample, v);
    pl_shard_close(&shard);
  }
  if (status != PL_E_DATA) return status;
  PL_ERROR("%s", pl_last_reason()->message);
  v->bad_shards++;
  return PL_OK;
}

static pl_status verify_round(void *context, int64_t first, int64_t count) {
  verifier *v = context;
  for (int64_t i = first; i < first + count; i++) {
    PL_TRY(verify_shard(v, v->rank + (int)i * v->ranks));
  }
  return PL_OK;
}

/* What only shows between shards: ids ascending through all of them. Opening the dataset checks it
 * once each shard is known to be whole. */
static pl_status check_as_a_whole(const char *folder) {
  pl_dataset *dataset = NULL;
  pl_status status = pl_dataset_open(folder, &dataset);
  pl_dataset_close(&dataset);
  return status;
}

static pl_status verify(pl_comm *comm, const char *folder, const pl_dataset_manifest *manifest) {
  int shards = manifest->info.shards;
  verifier v = {.manifest = manifest, .rank = pl_comm_rank(comm), .ranks = pl_comm_size(comm)};
  const pl_rounds rounds = {.doing = "verifying",
                            .items = "shards",
                            .own = (shards - v.rank + v.ranks - 1) / v.ranks,
                            .per_round = 1,
                            .work = verify_round,
                            .context = &v};
  PL_TRY(pl_rounds_run(comm, &rounds));
  double bad[] = {(double)v.bad_shards, (double)v.bad_samples};
  PL_TRY(pl_comm_sum_f64(comm, bad, 2));
  if (bad[0] > 0) {
    return PL_FAIL(PL_E_DATA, "%s: %.0f of %d shards are damaged, with %.0f damaged samples",
                   folder, bad[0], shards, bad[1]);
  }
  PL_TRY(pl_comm_agree(comm, v.rank == 0 ? check_as_a_whole(folder) : PL_OK));
  if (v.rank == 0) {
    printf("%s: %lld samples in %d shard%s are whole\n", folder, (long long)manifest->info.samples,
           shards, shards == 1 ? "" : "s");
  }
  return PL_OK;
}

static pl_status run(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  const pl_option table[] = {{0}};
  bool helped = false;
  int count = 0;
  pl_dataset_manifest *manifest = NULL;
  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  pl_status status = PL_E_INTERNAL;
  if (operands) {
    status = pl_options_parse(command, table, argc, argv, 1, 1, operands, &count, &helped);
    if (status == PL_OK && !helped) status = pl_dataset_manifest_read(operands[0], &manifest);
  }
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && manifest) {
    status =
        pl_comm_agree_same(comm, "the dataset", manifest->info.hash, sizeof manifest->info.hash);
  }
  if (status == PL_OK && manifest) status = verify(comm, operands[0], manifest);
  pl_dataset_manifest_destroy(&manifest);
  pl_free(operands);
  return status;
}

const pl_command pl_cmd_data_verify = {
    .name = "data verify",
    .operands = "DIR",
    .summary = "check every checksum of a dataset",
    .run = run,
};
