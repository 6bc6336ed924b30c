#include "launch/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

static pl_status is_empty(const char *folder, bool *empty) {
  DIR *entries = opendir(folder);
  if (!entries) return PL_FAIL(PL_E_IO, "cannot read folder %s: %s", folder, strerror(errno));
  *empty = true;
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) *empty = false;
  }
  closedir(entries);
  return PL_OK;
}

/* Only what runs make is removed: a mistyped run.dir must not cost anybody's files. */
static pl_status remove_earlier_run(const char *folder) {
  static const char *const made[] = {"run.yaml", "metrics.jsonl", "log.txt", "checkpoints"};
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(folder, "run.yaml", path));
  bool empty;
  PL_TRY(is_empty(folder, &empty));
  if (!empty && !pl_path_exists(path)) {
    return PL_FAIL(PL_E_USAGE,
                   "run.dir %s holds files but no run.yaml: it is no run's folder, and "
                   "run.overwrite does not touch it",
                   folder);
  }
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
    PL_TRY(pl_path_join(folder, made[i], path));
    PL_TRY(pl_remove_tree(path));
  }
  return PL_OK;
}

static pl_status claim(const pl_config *config) {
  const char *folder = config->run.dir;
  bool empty = true;
  if (pl_path_exists(folder)) PL_TRY(is_empty(folder, &empty));
  if (!empty && !config->run.overwrite) {
    return PL_FAIL(PL_E_USAGE,
                   "run.dir %s is in use; choose another one, or replace that run with "
                   "run.overwrite=true",
                   folder);
  }
  if (!empty) PL_TRY(remove_earlier_run(folder));
  PL_TRY(pl_make_folders(folder));
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(folder, "log.txt", path));
  PL_TRY(pl_log_open(path));
  PL_TRY(pl_path_join(folder, "run.yaml", path));
  char *yaml;
  PL_TRY(pl_config_write(config, &yaml));
  pl_status status = pl_write_file_durably(path, yaml, strlen(yaml));
  pl_free(yaml);
  return status;
}

pl_status pl_run_folder_claim(pl_comm *comm, const pl_config *config) {
  return pl_comm_agree(comm, pl_comm_rank(comm) == 0 ? claim(config) : PL_OK);
}
