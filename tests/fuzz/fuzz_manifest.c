/* Any bytes as a dataset manifest: refused as bad data, or read to counts that agree. */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/data/manifest.h"
#include "tests/fuzz/fuzz.h"

static int counts_agree(const pl_dataset_manifest *m) {
  int64_t samples = 0;
  int64_t bytes = 0;
  for (int i = 0; i < m->info.shards; i++) {
    samples += m->shards[i].samples;
    bytes += m->shards[i].bytes;
  }
  return samples == m->info.samples && samples > 0 && bytes == m->info.bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pl_dataset_manifest *m = NULL;
  pl_status status = pl_dataset_manifest_parse("fuzz", (const char *)data, size, &m);
  if (status == PL_OK ? !counts_agree(m) : status != PL_E_DATA || m != NULL) {
    fprintf(stderr, "status %d: %s\n", status, status ? pl_last_reason()->message : "odd counts");
    abort();
  }
  pl_dataset_manifest_destroy(&m);
  return 0;
}
