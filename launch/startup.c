#include "launch/startup.h"

#include <stdio.h>
#include <string.h>

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

static pl_status read_config(const char *const *operands, int count, pl_config *config) {
  PL_TRY(pl_config_load(config, operands[0], operands + 1, count - 1));
  /* From here on the folder has its name, in the saved configuration too. */
  char folder[PL_PATH_MAX];
  pl_config_run_dir(config, folder);
  if (strlen(folder) >= sizeof config->run.dir) {
    return PL_FAIL(PL_E_USAGE, "run.dir is longer than %zu bytes", sizeof config->run.dir - 1);
  }
  memcpy(config->run.dir, folder, strlen(folder) + 1);
  return PL_OK;
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
  char host[HOST_TEXT];
  int threads;
} rank_row;

/* One line for each run of neighbouring ranks on one host with equal threads. */
static void log_rows(const rank_row *rows, int size, const char *device) {
  for (int first = 0; first < size;) {
    int last = first;
    while (last + 1 < size && memcmp(&rows[last + 1], &rows[first], sizeof *rows) == 0) last++;
    char ranks[32];
    if (last == first) {
      snprintf(ranks, sizeof ranks, "%d", first);
    } else {
      snprintf(ranks, sizeof ranks, "%d-%d", first, last);
    }
    PL_INFO("%-12s %-24s %8d  %s", ranks, rows[first].host, rows[first].threads, device);
    first = last + 1;
  }
}

pl_status pl_startup_table(pl_comm *comm, int threads, const char *device) {
  int size = pl_comm_size(comm);
  rank_row mine = {.threads = threads};
  snprintf(mine.host, sizeof mine.host, "%s", pl_comm_host(comm));
  rank_row *rows = pl_alloc((size_t)size, sizeof *rows);
  PL_TRY(pl_comm_agree(comm, rows ? PL_OK : PL_E_INTERNAL));
  pl_status status = pl_comm_allgather_equal(comm, &mine, rows, sizeof mine);
  if (status == PL_OK && pl_comm_rank(comm) == 0) {
    PL_INFO("%-12s %-24s %8s  %s", "ranks", "host", "threads", "device");
    log_rows(rows, size, device);
  }
  pl_free(rows);
  return status;
}
