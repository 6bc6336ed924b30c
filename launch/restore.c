#include "launch/restore.h"

#include <string.h>

#include "launch/checkpoints.h"
#include "launch/device.h"
#include "launch/settings.h"

static pl_status read_config(const pl_checkpoint *checkpoint, const char *path,
                             const char *const *overrides, int count, pl_config *config) {
  const char *yaml = pl_checkpoint_get_manifest(checkpoint)->config_yaml;
  pl_config_defaults(config);
  PL_TRY(pl_config_parse(config, path, yaml, strlen(yaml)));
  for (int i = 0; i < count; i++) PL_TRY(pl_config_override(config, overrides[i]));
  return pl_config_check(config);
}

static pl_status build(pl_comm *comm, const pl_backend *backend, pl_restored *r) {
  pl_dtype precision;
  PL_TRY(pl_precision_setting(&r->config, &precision));
  PL_TRY(pl_tokenizer_setting(&r->config, &r->tokenizer));
  int vocabulary = r->tokenizer ? pl_tokenizer_vocabulary(r->tokenizer) : 0;
  return pl_state_build(comm, backend, &r->config, precision, vocabulary, &r->state, &r->method);
}

/* The weights that eval.weights names, into the image and the buffers that nets are loaded from. */
static pl_status choose_weights(pl_restored *r) {
  pl_state *state = &r->state;
  if (r->config.eval.weights != PL_CFG_WEIGHTS_AVERAGE) return PL_OK;
  memcpy(state->buffers, state->average_buffers,
         (size_t)pl_space_buffer_elements(state->space) * sizeof *state->buffers);
  return pl_state_gather(state, state->average, state->image);
}

pl_status pl_restore(pl_comm *comm, const char *path, const char *const *overrides, int count,
                     pl_restored *out) {
  pl_status status;
  pl_checkpoint *checkpoint = NULL;
  const pl_backend *backend = NULL;
  *out = (pl_restored){0};
  PL_TRY_OR(done, status, pl_checkpoints_find(comm, path, &checkpoint));
  const pl_checkpoint_manifest *manifest = pl_checkpoint_get_manifest(checkpoint);
  out->step = manifest->step;
  memcpy(out->state_hash, manifest->state_hash, sizeof out->state_hash);
  PL_TRY_OR(done, status,
            pl_comm_agree(comm, read_config(checkpoint, path, overrides, count, &out->config)));
  PL_TRY_OR(done, status, pl_device_open(comm, &out->config, &backend));
  PL_TRY_OR(done, status, pl_comm_agree(comm, build(comm, backend, out)));
  PL_TRY_OR(done, status, pl_state_load(comm, checkpoint, false, &out->state, NULL));
  status = choose_weights(out);
done:
  pl_checkpoint_close(&checkpoint);
  return status;
}

void pl_restored_free(pl_restored *r) {
  pl_method_destroy(&r->method);
  pl_tokenizer_close(&r->tokenizer);
  pl_state_free(&r->state);
  *r = (pl_restored){0};
}
