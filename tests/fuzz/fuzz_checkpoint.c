/* Any bytes as the manifest of a checkpoint: refused with a reason and a place, or read with lists
 * that agree with each other. What was read is compared with a model, as a reader would. */
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

static void check_lists(const pl_manifest *manifest) {
  int64_t blocks = 0, elements = 0;
  double bytes = 0;
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
  for (int p = 0; p < manifest->parts; p++) bytes += (double)manifest->part[p].bytes;
  double needed = (double)blocks * PL_BLOCK * sizeof(float) * manifest->vectors;
  if (needed > bytes) broken("parts can hold the vectors");
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
  check_lists(manifest);
  pl_space *space = make_space();
  status = pl_manifest_compare("fuzz", manifest, space);
  if (status != PL_OK && status != PL_E_DATA) broken("a difference is a data error");
  pl_space_destroy(&space);
  pl_manifest_destroy(&manifest);
  return 0;
}
