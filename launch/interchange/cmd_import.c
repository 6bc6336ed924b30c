/* plenum import: a run that begins from the weights in a file. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "launch/command.h"
#include "launch/interchange/interchange.h"
#include "launch/settings.h"
#include "launch/startup.h"
#include "launch/train/saver.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/cpu/cpu.h"

typedef struct request {
  const char *file, *out;
  const char *const *config; /* and overrides */
  int config_count;
} request;

/* What is imported, and what the checkpoint says of it. */
typedef struct importing {
  pl_comm *comm;
  const request *request;
  pl_config *config;
  pl_dataset *dataset;
  pl_tokenizer *tokenizer;
  pl_method *method;
  pl_state state;
  pl_optim *optim; /* with moments of zero */
  pl_interchange_plan plan;
  char build[PL_BUILD_TEXT], state_hash[PL_CHECKPOINT_HASH];
  char folder[PL_PATH_MAX]; /* under its temporary name */
} importing;

static bool speaks(const importing *m) { return pl_comm_rank(m->comm) == 0; }

/* ---- configuration and place ---- */

/* A name without slashes at its end, so that another can be made beside it. */
static pl_status settle_folder(const char *folder, pl_config *config) {
  size_t length = strlen(folder);
  while (length > 1 && folder[length - 1] == '/') length--;
  if (length == 0 || length >= sizeof config->run.dir) {
    return PL_FAIL(PL_E_USAGE, "--out is empty or longer than %zu bytes",
                   sizeof config->run.dir - 1);
  }
  snprintf(config->run.dir, sizeof config->run.dir, "%.*s", (int)length, folder);
  return PL_OK;
}

static pl_status check_place(const char *folder) {
  bool empty = true;
  if (!pl_path_exists(folder)) return PL_OK;
  DIR *entries = opendir(folder);
  if (!entries) return PL_FAIL(PL_E_USAGE, "--out %s is no folder that can be read", folder);
  for (const struct dirent *entry; (entry = readdir(entries));) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) empty = false;
  }
  closedir(entries);
  if (empty) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "--out %s holds files: name a new folder", folder);
}

static pl_status configure(importing *m) {
  PL_TRY(pl_startup_config(m->comm, m->request->config, m->request->config_count, m->config));
  PL_TRY(pl_comm_agree(m->comm, settle_folder(m->request->out, m->config)));
  PL_TRY(pl_comm_agree(m->comm, speaks(m) ? check_place(m->config->run.dir) : PL_OK));
  pl_startup_threads(m->comm, m->config->run.threads);
  PL_TRY(pl_comm_agree(m->comm, pl_build_text(m->build)));
  return pl_startup_dataset(m->comm, m->config->data.train, &m->dataset);
}

/* ---- state ---- */

static pl_status build(importing *m) {
  pl_dtype precision;
  PL_TRY(pl_precision_setting(m->config, &precision));
  PL_TRY(pl_tokenizer_setting(m->config, &m->tokenizer));
  int vocabulary = m->tokenizer ? pl_tokenizer_vocabulary(m->tokenizer) : 0;
  PL_TRY(pl_state_build(m->comm, pl_cpu_backend(), m->config, precision, vocabulary, &m->state,
                        &m->method));
  pl_optim_options options = pl_optim_settings(m->config);
  return pl_optim_create(m->state.device, m->state.space, m->state.slice, pl_comm_ranks(m->comm),
                         &options, &m->optim);
}

static pl_status load(importing *m, const pl_safetensors *file) {
  const char *path = m->request->file;
  PL_TRY(pl_interchange_match(path, file, m->state.space, speaks(m), &m->plan));
  return pl_interchange_load(path, file, &m->plan, &m->state);
}

static pl_status fill(importing *m) {
  pl_safetensors *file = NULL;
  PL_TRY(pl_state_init(m->comm, &m->state, (uint64_t)m->config->run.seed));
  pl_status status = pl_safetensors_open(m->request->file, &file);
  if (status == PL_OK) status = load(m, file);
  pl_safetensors_close(&file);
  return pl_comm_agree(m->comm, status);
}

/* ---- the run's folder ---- */

/* Collective. */
static pl_status save_taken(importing *m, pl_saver *saver, const char *config_yaml) {
  pl_checkpoint_manifest about = {.dataset = pl_dataset_get_info(m->dataset)->hash,
                                  .metric = "",
                                  .config_yaml = config_yaml,
                                  .build = m->build};
  const pl_checkpoint_vectors *copy;
  PL_TRY(pl_saver_take(saver, &copy));
  PL_TRY(pl_state_hash_copy(m->comm, &m->state, copy, m->state_hash));
  memcpy(about.state_hash, m->state_hash, sizeof about.state_hash);
  pl_saver_start(saver, &about);
  return pl_saver_finish(saver);
}

/* As a step-0 checkpoint, which nothing was trained for yet. */
static pl_status save_state(importing *m, const char *config_yaml) {
  char parent[PL_PATH_MAX];
  PL_TRY(pl_path_join(m->folder, "checkpoints", parent));
  const pl_saver_setup setup = {.comm = m->comm,
                                .space = m->state.space,
                                .slice = m->state.slice,
                                .device = m->state.device,
                                .vectors = pl_state_sliced(&m->state, m->optim),
                                .replicated = pl_state_replicated(&m->state),
                                .parent = parent,
                                .keep = 1,
                                .metric = ""};
  pl_saver *saver = NULL;
  pl_status status = pl_saver_create(&setup, &saver);
  if (status == PL_OK) status = save_taken(m, saver, config_yaml);
  pl_saver_destroy(&saver);
  return pl_comm_agree(m->comm, status); /* from here on nobody's thread writes */
}

/* Rank 0's last part: the folder gets its name when all is in it. */
static pl_status finish_folder(const importing *m, const char *config_yaml) {
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(m->folder, "run.yaml", path));
  PL_TRY(pl_write_file_durably(path, config_yaml, strlen(config_yaml)));
  PL_TRY(pl_sync_path(m->folder));
  return pl_rename_durably(m->folder, m->config->run.dir);
}

static pl_status begin_folder(importing *m) {
  int length =
      snprintf(m->folder, sizeof m->folder, "%s.tmp%ld", m->config->run.dir, (long)getpid());
  if (length >= (int)sizeof m->folder)
    return PL_FAIL(PL_E_USAGE, "the path %s is too long", m->folder);
  return pl_make_folders(m->folder);
}

static pl_status write_folder(importing *m, const char *config_yaml) {
  PL_TRY(pl_comm_agree(m->comm, speaks(m) ? begin_folder(m) : PL_OK));
  PL_TRY(pl_comm_broadcast(m->comm, m->folder, sizeof m->folder, 0));
  PL_TRY(save_state(m, config_yaml));
  return pl_comm_agree(m->comm, speaks(m) ? finish_folder(m, config_yaml) : PL_OK);
}

/* What was not finished is removed; that failing as well changes nothing of the reason. */
static void remove_rest(const importing *m) {
  pl_reason reason = *pl_last_reason();
  if (speaks(m) && m->folder[0] && pl_remove_tree(m->folder) != PL_OK) {
    PL_WARN("%s", pl_last_reason()->message);
  }
  (void)pl_adopt_reason(&reason);
}

static pl_status save(importing *m) {
  char *yaml = NULL;
  PL_TRY(pl_comm_agree(m->comm, pl_config_write(m->config, &yaml)));
  pl_status status = write_folder(m, yaml);
  if (status != PL_OK) remove_rest(m);
  pl_free(yaml);
  return status;
}

/* ---- the command ---- */

static void tell(const importing *m) {
  const pl_interchange_plan *plan = &m->plan;
  if (plan->seeded > 0) {
    PL_INFO("%s is the file of an encoder alone; initialised from the seed: %s", m->request->file,
            plan->seeded_names);
  }
  if (plan->left_names[0]) PL_INFO("left in %s: %s", m->request->file, plan->left_names);
  printf("%s: %d tensors from %s, %d from seed %lld; state %s\n", m->config->run.dir, plan->taken,
         m->request->file, plan->seeded, (long long)m->config->run.seed, m->state_hash);
}

static pl_status import_weights(importing *m) {
  PL_TRY(configure(m));
  PL_TRY(pl_comm_agree(m->comm, build(m)));
  PL_TRY(fill(m));
  PL_TRY(save(m));
  if (speaks(m)) tell(m);
  return PL_OK;
}

static void importing_free(importing *m) {
  pl_interchange_plan_free(&m->plan);
  pl_optim_destroy(&m->optim);
  pl_method_destroy(&m->method);
  pl_state_free(&m->state);
  pl_tokenizer_close(&m->tokenizer);
  pl_dataset_close(&m->dataset);
  pl_free(m->config);
}

static pl_status parse(const pl_command *command, int argc, char **argv, request *r,
                       const char **operands, bool *helped) {
  const pl_option table[] = {
      {.name = "out",
       .kind = PL_OPTION_TEXT,
       .value = &r->out,
       .help = "folder of the run to make, which `plenum train DIR` goes on with"},
      {0},
  };
  int count = 0;
  PL_TRY(pl_options_parse(command, table, argc, argv, 2, -1, operands, &count, helped));
  if (*helped) return PL_OK;
  if (!r->out) return PL_FAIL(PL_E_USAGE, "--out is missing: the folder of the run to make");
  r->file = operands[0];
  r->config = operands + 1;
  r->config_count = count - 1;
  return PL_OK;
}

static pl_status run_command(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  request r = {0};
  bool helped = false;
  importing m = {.comm = comm, .request = &r, .config = pl_alloc(1, sizeof *m.config)};
  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  pl_status status = operands && m.config ? PL_OK : PL_E_INTERNAL;
  if (status == PL_OK) status = parse(command, argc, argv, &r, operands, &helped);
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) status = import_weights(&m);
  importing_free(&m);
  pl_free(operands);
  return status;
}

const pl_command pl_cmd_import = {
    .name = "import",
    .operands = "FILE.safetensors CONFIG --out DIR [key=value ...]",
    .summary = "a run that begins from the weights in a file",
    .run = run_command,
};
