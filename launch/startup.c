#include "launch/startup.h"

#include <stdio.h>
#include <string.h>

#include "launch/device.h"
#include "launch/json.h"
#include "launch/settings.h"
#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"

pl_status pl_build_text(char text[PL_BUILD_TEXT]) {
  char *program;
  size_t size;
  PL_TRY(pl_read_file("/proc/self/exe", SIZE_MAX / 2, &program, &size));
  char hash[PL_HASH_TEXT];
  pl_hash_text(pl_hash(program, size), hash);
  pl_free(program);
  snprintf(text, PL_BUILD_TEXT, "%s %s", PLENUM_VERSION, hash);
  return PL_OK;
}

static pl_status set_run_dir(pl_config *config, const char *folder) {
  if (strlen(folder) >= sizeof config->run.dir) {
    return PL_FAIL(PL_E_USAGE, "run.dir is longer than %zu bytes", sizeof config->run.dir - 1);
  }
  memcpy(config->run.dir, folder, strlen(folder) + 1);
  return PL_OK;
}

/* A run's folder stands for its run.yaml and for going on with it. Overrides come after that, so
 * they may say otherwise. */
static pl_status load(const char *const *operands, int count, pl_config *config) {
  if (!pl_is_folder(operands[0])) {
    return pl_config_load(config, operands[0], operands + 1, count - 1);
  }
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(operands[0], "run.yaml", path));
  if (!pl_path_exists(path)) {
    return PL_FAIL(PL_E_USAGE, "the folder %s is no run's: there is no run.yaml in it",
                   operands[0]);
  }
  pl_config_defaults(config);
  PL_TRY(pl_config_read(config, path));
  PL_TRY(set_run_dir(config, operands[0]));
  config->run.overwrite = false;
  config->run.resume = PL_CFG_RESUME_AUTO;
  for (int i = 1; i < count; i++) PL_TRY(pl_config_override(config, operands[i]));
  return pl_config_check(config);
}

static pl_status read_config(const char *const *operands, int count, pl_config *config) {
  PL_TRY(load(operands, count, config));
  /* From here on the folder has its name, the precision its type and the vocabulary its content, in
   * the saved configuration too: a resumed run computes as it began, or is refused. */
  char folder[PL_PATH_MAX];
  pl_config_run_dir(config, folder);
  PL_TRY(set_run_dir(config, folder));
  pl_dtype precision;
  PL_TRY(pl_precision_setting(config, &precision));
  config->train.precision = precision == PL_BF16 ? PL_CFG_PRECISION_BF16 : PL_CFG_PRECISION_F32;
  return pl_vocabulary_setting(config);
}

pl_status pl_startup_config(pl_comm *comm, const char *const *operands, int count,
                            pl_config *config) {
  PL_TRY(pl_comm_agree(comm, read_config(operands, count, config)));
  char build[PL_BUILD_TEXT] = "";
  PL_TRY(pl_comm_agree(comm, pl_build_text(build)));
  PL_TRY(pl_comm_agree_same(comm, "the build of plenum", build, sizeof build));
  char *yaml = NULL;
  PL_TRY(pl_comm_agree(comm, pl_config_write(config, &yaml)));
  pl_hash128 hash = pl_hash(yaml, strlen(yaml));
  pl_free(yaml);
  return pl_comm_agree_same(comm, "the configuration", &hash, sizeof hash);
}

pl_status pl_startup_dataset(pl_comm *comm, const char *folder, pl_dataset **out) {
  pl_dataset *dataset = NULL;
  pl_status status = pl_comm_agree(comm, pl_dataset_open(folder, &dataset));
  if (status == PL_OK) {
    const char *hash = pl_dataset_get_info(dataset)->hash;
    char what[PL_PATH_MAX + 32];
    snprintf(what, sizeof what, "the dataset in %s", folder);
    status = pl_comm_agree_same(comm, what, hash, PL_HASH_TEXT);
  }
  if (status != PL_OK) pl_dataset_close(&dataset);
  *out = dataset;
  return status;
}

int pl_startup_threads(const pl_comm *comm, int64_t configured) {
  int threads = configured > 0
                    ? (int)configured
                    : pl_threads_per_rank(pl_comm_local_size(comm), pl_comm_bound_apart(comm));
  pl_threads_use(threads);
  return threads;
}

enum { HOST_TEXT = 64 };

typedef struct rank_row {
  char host[HOST_TEXT], device[PL_DEVICE_TEXT];
  int threads;
} rank_row;

/* Ranks [first, result) are neighbours on one host with equal threads and device. */
static int end_of_group(const rank_row *rows, int size, int first) {
  int end = first + 1;
  while (end < size && memcmp(&rows[end], &rows[first], sizeof *rows) == 0) end++;
  return end;
}

static void log_rows(const rank_row *rows, int size) {
  PL_INFO("%-12s %-24s %8s  %s", "ranks", "host", "threads", "device");
  for (int first = 0, end; first < size; first = end) {
    end = end_of_group(rows, size, first);
    char ranks[32];
    if (end == first + 1) {
      snprintf(ranks, sizeof ranks, "%d", first);
    } else {
      snprintf(ranks, sizeof ranks, "%d-%d", first, end - 1);
    }
    PL_INFO("%-12s %-24s %8d  %s", ranks, rows[first].host, rows[first].threads,
            rows[first].device);
  }
}

static pl_status write_rows(const rank_row *rows, int size, char **json) {
  size_t length;
  FILE *out = open_memstream(json, &length);
  if (!out) return PL_FAIL(PL_E_INTERNAL, "out of memory for the table of ranks");
  for (int first = 0, end; first < size; first = end) {
    end = end_of_group(rows, size, first);
    fputs(first == 0 ? "[{\"host\":" : ",{\"host\":", out);
    pl_json_text(out, rows[first].host);
    fprintf(out, ",\"ranks\":%d,\"threads\":%d,\"device\":", end - first, rows[first].threads);
    pl_json_text(out, rows[first].device);
    fputc('}', out);
  }
  fputc(']', out);
  return fclose(out) == 0 ? PL_OK : PL_FAIL(PL_E_INTERNAL, "out of memory for the table of ranks");
}

pl_status pl_startup_table(pl_comm *comm, int threads, char **json) {
  int size = pl_comm_size(comm);
  rank_row mine = {.threads = threads};
  snprintf(mine.host, sizeof mine.host, "%s", pl_comm_host(comm));
  pl_device_name(mine.device);
  rank_row *rows = pl_alloc((size_t)size, sizeof *rows);
  *json = NULL;
  pl_status status = pl_comm_agree(comm, rows ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK) status = pl_comm_allgather_equal(comm, &mine, rows, sizeof mine);
  if (status == PL_OK && pl_comm_rank(comm) == 0) log_rows(rows, size);
  if (status == PL_OK) status = pl_comm_agree(comm, write_rows(rows, size, json));
  pl_free(rows);
  return status;
}
