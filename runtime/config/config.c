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

pl_status pl_config_load(pl_config *config, const char *path, const char *const *overrides,
                         int count) {
  pl_config_defaults(config);
  PL_TRY(pl_config_read(config, path));
  for (int i = 0; i < count; i++) PL_TRY(pl_config_override(config, overrides[i]));
  return pl_context(pl_config_check(config), "%s", path);
}
