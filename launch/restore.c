#include "launch/restore.h"

#include <string.h>

#include "launch/settings.h"
#include "runtime/base/file.h"

/* A checkpoint is told from a run by its manifest. */
static pl_status open_checkpoint(const char *path, pl_checkpoint **out) {
  char inner[PL_PATH_MAX];
  PL_TRY(pl_path_join(path, "manifest.yaml", inner));
  if (pl_path_exists(inner)) return pl_checkpoint_open(path, out);
  PL_TRY(pl_path_join(path, "checkpoints", inner));
  if (!pl_is_folder(inner)) {
    return PL_FAIL(PL_E_DATA,
                   "%s is neither a run (no checkpoints/ in it) nor a checkpoint (no "
                   "manifest.yaml)",
                   path);
  }
  return pl_checkpoint_open_newest(inner, out);
}

static pl_status read_config(const pl_checkpoint *checkpoint, const char *path,
                             const char *const *overrides, int count, pl_config *config) {
  const char *yaml = pl_checkpoint_config(checkpoint);
  pl_config_defaults(config);
  PL_TRY(pl_config_parse(config, path, yaml, strlen(yaml)));
  for (int i = 0; i < count; i++) PL_TRY(pl_config_override(config, overrides[i]));
  return pl_config_check(config);
}

static pl_status build(pl_comm *comm, pl_restored *r) {
  pl_dtype precision;
  PL_TRY(pl_precision_setting(&r->config, &precision));
  PL_TRY(pl_state_build(comm, &r->config, precision, &r->state, &r->method));
  return pl_method_compile_encoder(r->method, (int)r->config.eval.micro, &r->encoder);
}

pl_status pl_restore(pl_comm *comm, const char *path, const char *const *overrides, int count,
                     pl_restored *out) {
  *out = (pl_restored){0};
  pl_checkpoint *checkpoint = NULL;
  pl_status status = pl_comm_agree(comm, open_checkpoint(path, &checkpoint));
  if (status == PL_OK) {
    status = pl_comm_agree_same(comm, "the checkpoint", pl_checkpoint_state_hash(checkpoint), 33);
  }
  if (status == PL_OK) {
    status = pl_comm_agree(comm, read_config(checkpoint, path, overrides, count, &out->config));
  }
  if (status == PL_OK) status = pl_comm_agree(comm, build(comm, out));
  if (status == PL_OK) status = pl_state_load(comm, checkpoint, &out->state);
  if (status == PL_OK) {
    out->step = out->state.step;
    status = pl_comm_agree(comm, pl_net_load(out->encoder, out->state.image, out->state.buffers));
  }
  pl_checkpoint_close(&checkpoint);
  return status;
}

void pl_restored_free(pl_restored *r) {
  pl_net_destroy(&r->encoder);
  pl_method_destroy(&r->method);
  pl_state_free(&r->state);
  *r = (pl_restored){0};
}
