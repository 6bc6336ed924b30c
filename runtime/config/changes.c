/* By what a run that goes on would differ from the one that began. */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/memory.h"
#include "runtime/config/keys.h"

pl_status pl_config_changes(const pl_config *then, const pl_config *now, char **names) {
  *names = NULL;
  char *block = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&block, &size);
  if (!out) return PL_FAIL(PL_E_INTERNAL, "out of memory for the names of changed keys");
  const char *separator = "";
  for (int k = 0; k < pl_key_count; k++) {
    const pl_key *key = &pl_keys[k];
    if (key->free || pl_value_equal(key, then, now)) continue;
    fprintf(out, "%s%s", separator, key->name);
    separator = ", ";
  }
  pl_status status = PL_OK;
  if (fclose(out) != 0) {
    status = PL_FAIL(PL_E_INTERNAL, "out of memory for the names of changed keys");
  } else if (!(*names = pl_strdup(block))) {
    status = PL_E_INTERNAL;
  }
  free(block);
  return status;
}
