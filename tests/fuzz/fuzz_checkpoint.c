/* Any bytes as the manifest of a checkpoint: refused with a reason and a place, or read with lists
 * that agree with each other. What was read is compared with a model, as a reader would. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/store/manifest.h"
#include "tests/fuzz/fuzz.h"

static void broken(const char *promise) {
  fprintf(stderr, "%s\n%s\n", promise, pl_last_reason()->message);
  abort();
}

static void check_tensors(const pl_manifest *manifest) {
  int64_t blocks = 0, elements = 0;
  for (int t = 0; t < manifest->tensors; t++) {
    const pl_manifest_tensor *tensor = &manifest->tensor[t];
    if (tensor->first_block != blocks) broken("tensors follow each other");
    double count = 1;
    for (int i = 0; i < tensor->dims; i++) count *= (double)tensor->dim[i];
    if (count > (double)tensor->blocks * PL_BLOCK) broken("blocks hold the tensor");
    blocks += tensor->blocks;
  }
  for (int b = 0; b < manifest->buffers; b++) {
    if (manifest->buffer[b].offset != elements) broken("buffers follow each other");
    elements += manifest->buffer[b].count;
  }
  if (blocks != manifest->blocks || elements != manifest->buffer_elements) broken("sums are right");
}

static void check_vectors(const pl_checkpoint_vectors *vectors) {
  for (int v = 0; v < vectors->count; v++) {
    if (!pl_manifest_is_vector_name(vectors->name[v])) broken("vectors have harmless names");
    if (pl_manifest_find_vector(vectors, vectors->name[v]) != v) broken("vectors differ in name");
  }
}

static void check_about(const pl_manifest *manifest) {
  const pl_checkpoint_manifest *about = &manifest->about;
  double bytes = 0, samples = 0;
  for (int p = 0; p < about->parts; p++) bytes += (double)about->part[p].bytes;
  double needed = ((double)manifest->blocks * PL_BLOCK * manifest->sliced.count +
                   (double)manifest->buffer_elements * manifest->replicated.count) *
                  sizeof(float);
  if (needed > bytes) broken("parts can hold the vectors");
  for (int s = 0; s < about->shards; s++) {
    const pl_checkpoint_shard *shard = &about->shard[s];
    if (!shard->name) broken("shards have names");
    if (shard->seen < 0 || shard->repeated < 0 || shard->skipped < 0) broken("counts are counts");
    samples += (double)shard->seen + (double)shard->repeated + (double)shard->skipped;
  }
  if (samples > (double)INT64_MAX) broken("the ledger can be summed");
  if (isinf(about->value)) broken("a value is finite or none");
  if (!about->build || !about->config_yaml || !about->metric) broken("all texts are there");
  if (!about->dataset || strlen(about->dataset) != PL_CHECKPOINT_HASH - 1) {
    broken("the dataset is named by a hash");
  }
}

static pl_space *make_space(void) {
  const int64_t dim[] = {16, 3, 7, 7};
  pl_space *space;
  int index;
  pl_init init = {.kind = PL_INIT_CONSTANT};
  if (pl_space_create(&space) != PL_OK ||
      pl_space_add(space, "stem.conv", PL_PARAM_WEIGHT, 4, dim, init, &index) != PL_OK ||
      pl_space_add(space, "stem.bias", PL_PARAM_BIAS, 1, dim, init, &index) != PL_OK ||
      pl_space_add_buffer(space, "stem.mean", 16, 0, &index) != PL_OK ||
      pl_space_seal(space, PL_F32, 4096) != PL_OK) {
    broken("a small space can be had");
  }
  return space;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pl_log_set_level(PL_LOG_ERROR);
  pl_manifest *manifest = NULL;
  pl_status status = pl_manifest_parse("fuzz", (const char *)data, size, &manifest);
  if (status != PL_OK) {
    if (status != PL_E_DATA) broken("a bad manifest is a data error");
    if (strncmp(pl_last_reason()->message, "fuzz:", 5) != 0) broken("the place is missing");
    if (manifest) broken("nothing is left of a bad manifest");
    return 0;
  }
  check_tensors(manifest);
  check_vectors(&manifest->sliced);
  check_vectors(&manifest->replicated);
  check_about(manifest);
  pl_space *space = make_space();
  status = pl_manifest_compare("fuzz", manifest, space);
  if (status != PL_OK && status != PL_E_DATA) broken("a difference is a data error");
  pl_space_destroy(&space);
  pl_manifest_destroy(&manifest);
  return 0;
}
