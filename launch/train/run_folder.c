#include "launch/train/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "launch/checkpoints.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

static const char lock_name[] = "lock";
static const char events_start[] = "events.out.tfevents.";

static bool is_own_entry(const char *name) {
  static const char *const made[] = {"run.yaml",    "metrics.jsonl", "log.txt",  "checkpoints",
                                     "report.html", "pictures.html", "watchdog", lock_name};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
    if (strcmp(name, made[i]) == 0) return true;
  }
  return strncmp(name, events_start, sizeof events_start - 1) == 0;
}

/* A file of a run that was ended before it got its name. */
static bool is_unnamed(const char *name) {
  static const char *const starts[] = {"run.yaml.tmp", "report.html.tmp", "pictures.html.tmp"};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    if (strncmp(name, starts[i], strlen(starts[i])) == 0) return true;
  }
  return false;
}

/* What a run that was ended within its first milliseconds may leave. */
static bool is_trace(const char *name) { return strcmp(name, lock_name) == 0 || is_unnamed(name); }

/* What a folder holds, traces apart. */
typedef struct contents {
  bool anything, run; /* `run`: a run.yaml */
} contents;

static pl_status look(const char *folder, contents *found) {
  *found = (contents){0};
  DIR *entries = opendir(folder);
  if (!entries) return PL_FAIL(PL_E_IO, "cannot read folder %s: %s", folder, strerror(errno));
  for (const struct dirent *entry; (entry = readdir(entries));) {
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || is_trace(name)) continue;
    found->anything = true;
    if (strcmp(name, "run.yaml") == 0) found->run = true;
  }
  closedir(entries);
  return PL_OK;
}

static pl_status remove_entries(const char *folder, bool (*wanted)(const char *name)) {
  pl_status status = PL_OK;
  char path[PL_PATH_MAX];
  DIR *entries = opendir(folder);
  if (!entries) return PL_FAIL(PL_E_IO, "cannot read folder %s: %s", folder, strerror(errno));
  for (const struct dirent *entry; (entry = readdir(entries));) {
    if (!wanted(entry->d_name)) continue;
    PL_TRY_OR(done, status, pl_path_join(folder, entry->d_name, path));
    PL_TRY_OR(done, status, pl_remove_tree(path));
  }
done:
  closedir(entries);
  return status;
}

static bool goes_before_run_yaml(const char *name) {
  return is_own_entry(name) && strcmp(name, lock_name) != 0 && strcmp(name, "run.yaml") != 0;
}

/* Only what runs make is removed: a mistyped run.dir must not cost anybody's files. run.yaml, by
 * which the folder is known as a run's, goes last. */
static pl_status remove_earlier_run(const char *folder) {
  char path[PL_PATH_MAX];
  PL_TRY(remove_entries(folder, goes_before_run_yaml));
  PL_TRY(pl_path_join(folder, "run.yaml", path));
  return pl_remove_tree(path);
}

/* Whether this configuration may take a folder with such contents. */
static pl_status check_contents(const pl_config *config, const contents *found) {
  const char *folder = config->run.dir;
  if (!found->anything) return PL_OK;
  if (!found->run && (config->run.overwrite || config->run.resume == PL_CFG_RESUME_AUTO)) {
    return PL_FAIL(PL_E_USAGE,
                   "run.dir %s holds files but no run.yaml: it is no run's folder, and is not "
                   "touched",
                   folder);
  }
  if (config->run.overwrite || config->run.resume == PL_CFG_RESUME_AUTO) return PL_OK;
  return PL_FAIL(PL_E_USAGE,
                 "run.dir %s is in use: go on with that run with run.resume=auto, replace it with "
                 "run.overwrite=true, or choose another folder",
                 folder);
}

/* The lock is the kernel's, so that it ends with the process, however that ends; its text only
 * tells whose it is. File systems without locks are told of and lived with. */
static pl_status take_lock(const pl_comm *comm, const char *folder, int *lock) {
  char path[PL_PATH_MAX], holder[PL_PATH_MAX] = "";
  PL_TRY(pl_path_join(folder, lock_name, path));
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return PL_FAIL(PL_E_IO, "cannot create %s: %s", path, strerror(errno));
  int refused = flock(fd, LOCK_EX | LOCK_NB) != 0 ? errno : 0;
  if (refused == EWOULDBLOCK) {
    ssize_t length = pread(fd, holder, sizeof holder - 1, 0);
    close(fd);
    return PL_FAIL(PL_E_USAGE, "run.dir %s belongs to a run that is going on (%s)", folder,
                   length > 0 ? holder : "unknown process");
  }
  if (refused != 0) {
    PL_WARN("%s can't be locked (%s): nothing keeps a second run out of this folder", path,
            strerror(refused));
  }
  int length =
      snprintf(holder, sizeof holder, "process %ld on %s", (long)getpid(), pl_comm_host(comm));
  if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, (size_t)length, 0) != length) {
    int reason = errno;
    close(fd);
    return PL_FAIL(PL_E_IO, "cannot write %s: %s", path, strerror(reason));
  }
  *lock = fd;
  return PL_OK;
}

static pl_status keep_config(const pl_config *config) {
  char path[PL_PATH_MAX];
  char *yaml;
  PL_TRY(pl_path_join(config->run.dir, "run.yaml", path));
  PL_TRY(pl_config_write(config, &yaml));
  pl_status status = pl_write_file_durably(path, yaml, strlen(yaml));
  pl_free(yaml);
  return status;
}

/* Rank 0's part up to the point where checkpoints are looked for. The contents are looked at before
 * the lock is made, so that a foreign folder stays as it is, and again under it. What makes the
 * folder a run's is written before anything else. */
static pl_status enter(const pl_comm *comm, const pl_config *config, pl_run_folder *out) {
  contents found = {0};
  const char *folder = config->run.dir;
  PL_TRY(pl_make_folders(folder));
  PL_TRY(look(folder, &found));
  PL_TRY(check_contents(config, &found));
  PL_TRY(take_lock(comm, folder, &out->lock));
  PL_TRY(look(folder, &found));
  PL_TRY(check_contents(config, &found));
  PL_TRY(remove_entries(folder, is_unnamed));
  if (found.run && config->run.overwrite) PL_TRY(remove_earlier_run(folder));
  if (!found.run || config->run.overwrite) PL_TRY(keep_config(config));
  PL_TRY(pl_make_folders(out->watchdog));
  PL_TRY(pl_checkpoint_clean(out->checkpoints));
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(folder, "log.txt", path));
  return pl_log_open(path);
}

pl_status pl_run_folder_claim(pl_comm *comm, const pl_config *config, pl_run_folder *out) {
  bool first = pl_comm_rank(comm) == 0;
  *out = (pl_run_folder){.lock = -1};
  PL_TRY(pl_path_join(config->run.dir, "checkpoints", out->checkpoints));
  PL_TRY(pl_path_join(config->run.dir, "watchdog", out->watchdog));
  PL_TRY(pl_comm_agree(comm, first ? enter(comm, config, out) : PL_OK));
  if (config->run.resume != PL_CFG_RESUME_AUTO) return PL_OK;
  return pl_checkpoints_newest(comm, out->checkpoints, &out->checkpoint);
}

void pl_run_folder_release(pl_run_folder *folder) {
  pl_checkpoint_close(&folder->checkpoint);
  if (folder->lock < 0) return;
  /* Left by ranks that were ended; failing to remove them harms nothing. */
  (void)pl_remove_tree(folder->watchdog);
  close(folder->lock);
  folder->lock = -1;
}

pl_status pl_run_folder_keep_config(pl_comm *comm, const pl_config *config) {
  return pl_comm_agree(comm, pl_comm_rank(comm) == 0 ? keep_config(config) : PL_OK);
}
