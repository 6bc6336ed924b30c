#include "runtime/config/config.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/config/keys.h"

void pl_config_defaults(pl_config *config) {
  memset(config, 0, sizeof *config);
  for (int k = 0; k < pl_key_count; k++) {
    const pl_key *key = &pl_keys[k];
    if (!key->initial) continue;
    pl_value_set_known(key, config, key->initial);
    pl_preset_follow(key, config, NULL);
  }
}

void pl_config_run_dir(const pl_config *config, char *out) {
  if (config->run.dir[0] != '\0') {
    snprintf(out, PL_PATH_MAX, "%s", config->run.dir);
  } else {
    snprintf(out, PL_PATH_MAX, "runs/%s", config->run.name);
  }
}
