#include "tests/unit/interchange_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/cpu/cpu.h"
#include "tests/check.h"

static char folder[] = "/tmp/plenum-interchange-XXXXXX";
char file_path[PL_PATH_MAX];

int file_setup(void **state) {
  (void)state;
  return mkdtemp(folder) && pl_path_join(folder, "w.safetensors", file_path) == PL_OK ? 0 : -1;
}

int file_teardown(void **state) {
  (void)state;
  return pl_remove_tree(folder) == PL_OK ? 0 : -1;
}

model *model_make(const char *yaml, uint64_t seed) {
  model *m = pl_alloc(1, sizeof *m);
  assert_non_null(m);
  pl_config_defaults(&m->config);
  CHECK_OK(pl_config_parse(&m->config, "test", yaml, strlen(yaml)));
  CHECK_OK(pl_comm_create_self(&m->comm));
  CHECK_OK(pl_state_build(m->comm, pl_cpu_backend(), &m->config, PL_F32, MODEL_VOCABULARY,
                          &m->state, &m->method));
  CHECK_OK(pl_state_init(m->comm, &m->state, seed));
  return m;
}

void model_free(model *m) {
  pl_method_destroy(&m->method);
  pl_state_free(&m->state);
  pl_comm_destroy(&m->comm);
  pl_free(m);
}

void model_gather(model *m) {
  CHECK_OK(pl_state_gather(&m->state, m->state.master, m->state.image));
}

void model_export(const model *m, bool encoder_alone) {
  pl_interchange_list list;
  CHECK_OK(pl_interchange_list_make(&m->state, encoder_alone, &list));
  CHECK_OK(pl_safetensors_write(file_path, list.tensor, list.count, NULL));
  pl_interchange_list_free(&list);
}

/* Matches and loads the file at `file_path`. */
pl_status model_import(model *m, pl_interchange_plan *plan) {
  pl_safetensors *file = NULL;
  CHECK_OK(pl_safetensors_open(file_path, &file));
  pl_status status = pl_interchange_match(file_path, file, m->state.space, false, plan);
  if (status == PL_OK) status = pl_interchange_load(file_path, file, plan, &m->state);
  pl_safetensors_close(&file);
  return status;
}
